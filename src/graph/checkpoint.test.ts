import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { fromBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema } from 'onnx-buf';
import * as ort from 'onnxruntime-node';
import { afterAll, describe, expect, it } from 'vitest';
import { createRuntime } from '../runtime/runtime.ts';
import { floats, integers } from '../tensor/host-tensor.ts';
import * as g from './index.ts';
import { writeOnnx } from './onnx-writer.ts';
import type { Program } from './program.ts';
import { type StackSettings, transformerStack } from './transformer-stack.cases.ts';

const TINY = { blocks: 3, batch: 2, tokens: 5, width: 8, heads: 2 } as const;

const runtime = createRuntime({ inline: true, threads: 1 });
afterAll(() => runtime.close());

function count(program: Program, op: string): number {
  return program.nodes.filter((node) => node.op.name === op).length;
}

describe('checkpoint', () => {
  it.each(['adapters', 'all'] as const)('changes no bit of the gradients: %s', async (trains) => {
    const [plain, checkpointed] = await Promise.all(
      [false, true].map(async (checkpointed) => {
        const stack = transformerStack({ ...TINY, trains, checkpointed });
        const executable = await runtime.compile(stack.program, { weights: stack.weights });
        return executable.run(stack.feeds);
      }),
    );
    expect(Object.keys(plain)).toHaveLength(1 + TINY.blocks * (trains === 'all' ? 16 : 4));
    expect(checkpointed).toEqual(plain);
  });

  it('takes parameters that are first asked for inside', () => {
    const x = g.input('x', [2, 3]);
    const y = g.checkpoint(() => g.gelu(g.linear(x, g.weight('frozen', [3, 3]), g.input('learned', [3]))));
    const [gradient] = g.gradients(g.sum(y), [x]);
    const { inputs, weights } = g.program('test', { gradient: gradient! });
    expect([...inputs.keys(), ...weights.keys()]).toEqual(['x', 'learned', 'frozen']);
  });

  it('computes again only what the backward pass looks at', () => {
    const x = g.input('x', [2, 3]);
    const [inner, outer] = ['inner', 'outer'].map((name) => g.weight(name, [3, 3]));
    const y = g.checkpoint(() => g.linear(g.gelu(g.linear(x, inner)), outer));
    const [gradient] = g.gradients(g.sum(y), [x]);
    // `inner` again for GELU's slope, and one product back through each layer; `outer` is not needed again,
    // nor is anything of the first run.
    const traced = g.program('test', { gradient: gradient! });
    expect(count(traced, 'gemm')).toBe(1 + 2);
    expect(count(traced, 'barrier')).toBe(1);
  });

  it('makes nested regions part of the outer one', () => {
    const x = g.input('x', [2, 3]);
    const w = g.weight('w', [3, 3]);
    const y = g.checkpoint(() => g.checkpoint(() => g.gelu(g.linear(g.gelu(g.linear(x, w)), w))));
    const [gradient] = g.gradients(g.sum(y), [x]);
    expect(count(g.program('test', { gradient: gradient! }), 'barrier')).toBe(1);
  });

  it('leaves a look-up in a table where it is, which costs less than the table again', async () => {
    const table = g.input('table', [50, 2]);
    const rows = g.input('rows', [3], 'i64');
    const y = g.checkpoint(() => g.square(g.gather(table, rows)));
    const [gradient] = g.gradients(g.sum(y), [table]);
    const traced = g.program('test', { loss: g.sum(y), gradient: gradient! });
    expect(count(traced, 'gather')).toBe(1);
    const executable = await runtime.compile(traced);
    const values = Array.from({ length: 100 }, (_, i) => i);
    const result = await executable.run({ table: floats([50, 2], values), rows: integers([3], [4, 0, 4]) });
    expect([...result.gradient.data].flatMap((value, i) => (value === 0 ? [] : [[i, value]]))).toEqual([
      [1, 2],
      [8, 32],
      [9, 36],
    ]);
  });
});

describe('a checkpointed program in onnxruntime', () => {
  it('keeps its second runs: no optimizer merges them with the first', async () => {
    const stack = transformerStack({ ...TINY, trains: 'all', checkpointed: true });
    const plain = transformerStack({ ...TINY, trains: 'all', checkpointed: false });
    const [optimized, without] = await Promise.all([
      productsAfterOptimization(stack.program),
      productsAfterOptimization(plain.program),
    ]);
    const products = (program: Program) => count(program, 'gemm');
    expect(without).toBe(products(plain.program));
    expect(optimized).toBe(products(stack.program));
    // Seven layers in a block; the two that end a residual branch and the query's own are not all needed again.
    expect(optimized - without).toBeGreaterThanOrEqual(TINY.blocks * 5);
  });

  it.runIf(process.platform === 'linux')('needs less than half of the memory for activations', async () => {
    // Activations are the greater part here: 8 blocks of 4 × 192 tokens.
    const settings = { blocks: 8, batch: 4, tokens: 192, width: 96, heads: 4, trains: 'all' } as const;
    const plain = await addedMemory({ ...settings, checkpointed: false });
    const checkpointed = await addedMemory({ ...settings, checkpointed: true });
    expect(checkpointed / plain).toBeLessThan(0.5);
  });
});

/** How many matrix products are left once onnxruntime has optimized the program as sessions of ours do. */
async function productsAfterOptimization(program: Program): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'dualreal-checkpoint-'));
  try {
    const optimizedModelFilePath = join(folder, 'optimized.onnx');
    const model = writeOnnx(program, { target: { backend: 'cpu' }, weights: new Map() });
    const session = await ort.InferenceSession.create(model, {
      graphOptimizationLevel: 'basic',
      optimizedModelFilePath,
      logSeverityLevel: 3,
    });
    await session.release();
    const { graph } = fromBinary(ModelProtoSchema, readFileSync(optimizedModelFilePath));
    return graph!.node.filter(({ opType }) => opType === 'Gemm').length;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function addedMemory(settings: StackSettings): Promise<number> {
  const program = fileURLToPath(new URL('./peak-memory.cases.ts', import.meta.url));
  const args = ['--import', 'tsx', program, JSON.stringify(settings)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return (JSON.parse(stdout) as { addedBytes: number }).addedBytes;
}
