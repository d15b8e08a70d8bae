import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import * as g from '../graph/index.ts';
import { transformerStack } from '../graph/transformer-stack.cases.ts';
import { CancelledError, DualrealError, ShapeError } from '../tensor/errors.ts';
import { floats, hostTensor, integers } from '../tensor/host-tensor.ts';
import { EngineError } from './engine-error.ts';
import { createRuntime } from './runtime.ts';

const runtime = createRuntime({ threads: 2 });
afterAll(() => runtime.close());

const x = g.input('x', [2, 3]);
const small = g.program('small', { y: g.mul(x, 2) });
const fed = floats([2, 3], [1, 2, 3, 4, 5, 6]);

/** About half a second of matrix products. */
async function longRun() {
  const size = 1024;
  const a = g.input('a', [size, size]);
  let y = a;
  for (let i = 0; i < 24; i++) y = g.gemm(y, a);
  const executable = await runtime.compile(g.program('long', { y: g.sum(y) }));
  const feeds = { a: floats([size, size], new Float32Array(size * size).fill(1 / size)) };
  return { executable, feeds };
}

describe('the engine in its thread', () => {
  it('computes what it computes in the caller thread', async () => {
    const inline = createRuntime({ inline: true, threads: 2 });
    const stack = transformerStack({
      blocks: 2,
      batch: 2,
      tokens: 6,
      width: 8,
      heads: 2,
      trains: 'adapters',
      checkpointed: false,
    });
    const results = await Promise.all(
      [runtime, inline].map(async (where) =>
        (await where.compile(stack.program, { weights: stack.weights })).run(stack.feeds),
      ),
    );
    expect(results[0]).toEqual(results[1]);
  });

  it('leaves the event loop free during a long run', async () => {
    const { executable, feeds } = await longRun();
    const delays: number[] = [];
    let last = performance.now();
    const timer = setInterval(() => {
      delays.push(performance.now() - last);
      last = performance.now();
    }, 5);
    const started = performance.now();
    const { y } = await executable.run(feeds);
    const took = performance.now() - started;
    clearInterval(timer);
    expect(y.data[0]).toBeCloseTo(1024, 0);
    expect(took).toBeGreaterThan(100);
    // Ticks through the whole run, none of them as late as the run is long.
    expect(delays.length).toBeGreaterThan(10);
    expect(Math.max(...delays)).toBeLessThan(took / 2);
    await executable.release();
  });

  it('gives up at once when it is cancelled, and goes on working', async () => {
    const { executable, feeds } = await longRun();
    const quick = await runtime.compile(small);
    const whole = performance.now();
    await executable.run(feeds);
    const full = performance.now() - whole;

    const controller = new AbortController();
    const started = performance.now();
    const running = executable.run(feeds, { signal: controller.signal });
    setTimeout(() => controller.abort(), 10);
    await expect(running).rejects.toThrow(CancelledError);
    expect(performance.now() - started).toBeLessThan(full / 2);
    expect((await quick.run({ x: fed })).y.data[5]).toBe(12);
    expect((await executable.run(feeds)).y.data[0]).toBeCloseTo(1024, 0);

    await expect(executable.run(feeds, { signal: AbortSignal.abort() })).rejects.toThrow(CancelledError);
    await executable.release();
  });

  it('keeps class and facts of errors', async () => {
    // A reference to element 7 of 3 passes every check before the run.
    const found = g.gather(g.input('table', [3, 1]), g.input('rows', [1], 'i64'));
    const executable = await runtime.compile(g.program('look-up', { found }));
    const failing = executable.run({ table: floats([3, 1], [1, 2, 3]), rows: integers([1], [7]) });
    const error: unknown = await failing.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(EngineError);
    const { name, where, got, hint, cause } = error as EngineError;
    expect(name).toBe('EngineError');
    expect(where).toBe('running a session');
    expect(got).toMatch(/indices element out of data bounds/);
    expect(hint).toBeUndefined();
    expect((cause as Error).message).toMatch(/in the engine thread[\s\S]*engine-host/);
    const { found: third } = await executable.run({
      table: floats([3, 1], [1, 2, 3]),
      rows: integers([1], [2]),
    });
    expect(third.data[0]).toBe(3);
  });

  it('leaves its results to the caller, also when it is gone', async () => {
    const other = createRuntime({ threads: 1 });
    const length = 1_000_000;
    const big = await other.compile(g.program('big', { y: g.neg(g.input('x', [length])) }));
    const { y: first } = await big.run({ x: floats([length], new Float32Array(length).fill(3)) });
    const { y: second } = await big.run({ x: floats([length], new Float32Array(length).fill(4)) });
    await big.release();
    await other.close();
    expect(new Set(first.data as Float32Array)).toEqual(new Set([-3]));
    expect(new Set(second.data as Float32Array)).toEqual(new Set([-4]));
  });

  it('refuses what is asked of it after its release or close', async () => {
    const executable = await runtime.compile(small);
    await executable.release();
    await expect(executable.run({ x: fed })).rejects.toThrow(/an open session/);
    await expect(executable.release()).rejects.toThrow(DualrealError);

    const other = createRuntime();
    const running = other.compile(small);
    const outcome = expect(running).rejects.toThrow(/one that was closed/);
    await other.close();
    await outcome;
    await expect(other.compile(small)).rejects.toThrow(EngineError);
    await other.close();
  });

  it.each(['released', 'closed', 'left', 'closed while running'])(
    'lets the process end by itself: %s',
    async (how) => {
      const program = fileURLToPath(new URL('./leaving.cases.ts', import.meta.url));
      const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', program, how], {
        timeout: 20_000,
      });
      expect(stdout).toBe('done\n');
    },
  );
});

describe('inputs', () => {
  const run = async (inputs: Record<string, ReturnType<typeof hostTensor>>) =>
    (await runtime.compile(small)).run(inputs);

  it.each([
    ['missing', {}, /input x of program small: expected f32\[2, 3\], got nothing/],
    ['of another shape', { x: floats([3, 2], fed.data) }, /input x .*expected f32\[2, 3\], got f32\[3, 2\]/],
    ['of another dtype', { x: integers([2, 3], fed.data) }, /input x .*got i64\[2, 3\]/],
    ['unknown', { x: fed, z: fed }, /input z .*expected one of x/],
    ['too short', { x: { ...fed, data: fed.data.subarray(1) } }, /input x .*expected 6 elements, got 5/],
  ])('that are %s are named', async (_what, inputs, message) => {
    await expect(run(inputs)).rejects.toThrow(ShapeError);
    await expect(run(inputs)).rejects.toThrow(message);
  });

  it('of a dtype that cannot be fed are named', async () => {
    const half = g.program('half', { y: g.cast(g.input('h', [1], 'bf16'), 'f32') });
    await expect(runtime.compile(half)).rejects.toThrow(/input h of program half: .*got bf16/);
  });

  it('of every other dtype arrive as they are', async () => {
    const outputs = {
      f16: g.cast(g.input('f16 in', [2], 'f16'), 'f32'),
      f64: g.cast(g.input('f64 in', [2], 'f64'), 'f32'),
      i64: g.cast(g.input('i64 in', [2], 'i64'), 'f32'),
      i32: g.cast(g.input('i32 in', [2], 'i32'), 'f32'),
      u8: g.cast(g.input('u8 in', [2], 'u8'), 'f32'),
      bool: g.cast(g.input('bool in', [2], 'bool'), 'f32'),
    };
    const executable = await runtime.compile(g.program('dtypes', outputs));
    const results = await executable.run({
      'f16 in': hostTensor('f16', [2], Uint16Array.of(0x3c00, 0xc000)),
      'f64 in': hostTensor('f64', [2], Float64Array.of(1, -2)),
      'i64 in': integers([2], [1, -2]),
      'i32 in': hostTensor('i32', [2], Int32Array.of(1, -2)),
      'u8 in': hostTensor('u8', [2], Uint8Array.of(1, 254)),
      'bool in': hostTensor('bool', [2], Uint8Array.of(1, 0)),
    });
    const signed = floats([2], [1, -2]);
    for (const name of ['f16', 'f64', 'i64', 'i32']) expect(results[name]).toEqual(signed);
    expect(results.u8).toEqual(floats([2], [1, 254]));
    expect(results.bool).toEqual(floats([2], [1, 0]));
  });
});

describe('the same program with the same inputs', () => {
  it('gives the same bits every time, with two threads', async () => {
    const stack = transformerStack({
      blocks: 3,
      batch: 3,
      tokens: 65,
      width: 96,
      heads: 4,
      trains: 'all',
      checkpointed: false,
    });
    const executables = [
      await runtime.compile(stack.program, { weights: stack.weights }),
      await runtime.compile(stack.program, { weights: stack.weights }),
    ];
    const first = await executables[0].run(stack.feeds);
    for (let repetition = 0; repetition < 5; repetition++) {
      const again = await executables[repetition % 2].run(stack.feeds);
      for (const [name, tensor] of Object.entries(first)) {
        expect(Buffer.compare(bytes(again[name].data), bytes(tensor.data)), name).toBe(0);
      }
    }
  });

  it('adds rows with equal numbers in the same order', async () => {
    const table = g.input('table', [7, 64]);
    const rows = g.input('rows', [5000], 'i64');
    const upstream = g.input('upstream', [5000, 64]);
    const [gradient] = g.gradients(g.sum(g.mul(g.gather(table, rows), upstream)), [table]);
    const executable = await runtime.compile(g.program('scatter', { gradient: gradient! }));
    const feeds = {
      rows: integers(
        [5000],
        Array.from({ length: 5000 }, (_, i) => (i * i) % 7),
      ),
      upstream: floats(
        [5000, 64],
        Float32Array.from({ length: 320_000 }, (_, i) => Math.sin(i)),
      ),
    };
    const first = await executable.run(feeds);
    const expected = new Float64Array(7 * 64);
    for (const [i, value] of feeds.upstream.data.entries()) {
      expected[Number(feeds.rows.data[i >> 6]) * 64 + (i & 63)] += value;
    }
    for (const [i, value] of expected.entries()) expect(first.gradient.data[i]).toBeCloseTo(value, 3);
    for (let repetition = 0; repetition < 20; repetition++) {
      const { gradient: again } = await executable.run(feeds);
      expect(Buffer.compare(bytes(again.data), bytes(first.gradient.data))).toBe(0);
    }
  });
});

function bytes(data: ArrayBufferView): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

describe('a backend that is not there', () => {
  it('cuda without its files: says what to install', async () => {
    const cuda = createRuntime({ backend: 'cuda' });
    const error: unknown = await cuda.compile(small).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(EngineError);
    expect((error as EngineError).where).toBe('opening a session');
    expect((error as EngineError).hint).toMatch(/ONNXRUNTIME_NODE_INSTALL=true/);
    await cuda.close();
  });
});
