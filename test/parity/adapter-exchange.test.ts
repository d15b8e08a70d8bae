import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DUALREAL_PRESETS, parameterGroup, traceDualReal } from '../../src/methods/dualreal/index.ts';
import { parseTransformerConfig } from '../../src/models/cogvideox/transformer/index.ts';
import { readAdapterFile, writeAdapterFile } from '../../src/store/adapter-file.ts';
import { readPth } from '../../src/store/pickle/pth.ts';
import { writePth } from '../../src/store/pickle/write-pth.ts';
import { createRun } from '../../src/store/run-folder.ts';
import { asFloats, floats, type HostTensor, maxAbsDifference } from '../../src/tensor/host-tensor.ts';
import {
  type ExportContext,
  type ExportRequest,
  exportAdapter,
  exportRequestSchema,
} from '../../src/workflows/export.ts';
import { importAdapter, importRequestSchema } from '../../src/workflows/import.ts';
import { REFERENCE_FILE } from '../../src/workflows/prepare.ts';
import { runWorkflow, type WorkflowEvent } from '../../src/workflows/workflow.ts';
import { evaluate } from './evaluate.ts';
import { describeGolden, expectClose, statedTolerance } from './golden.ts';
import { releaseRotaryBase } from './release-rotary.ts';

let folder: string;
let out: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dualreal-exchange-'));
  out = join(folder, 'made', 'adapter.safetensors');
});
afterEach(() => rm(folder, { recursive: true }));

async function runImport(request: { source: string; preset?: string; overwrite?: boolean }) {
  const events: WorkflowEvent[] = [];
  const parsed = importRequestSchema.parse({ out, ...request });
  const result = await runWorkflow(importAdapter(parsed), (event) => void events.push(event));
  return { result, events };
}

async function runExport(
  request: Partial<ExportRequest> & { adapter: string; out: string; format: 'pth' | 'safetensors' },
  context: ExportContext = {},
) {
  const events: WorkflowEvent[] = [];
  const parsed = exportRequestSchema.parse(request);
  const result = await runWorkflow(exportAdapter(parsed, context), (event) => void events.push(event));
  return { result, events };
}

describeGolden('dualreal-adapter-pth', (golden) => {
  const dtypes = (['bf16', 'f16', 'f32'] as const).filter((dtype) => golden.has(`adapter_${dtype}.pth`));

  it.each(dtypes)('adapter_%s.pth: imported bit for bit, and exported again', async (dtype) => {
    const source = golden.path(`adapter_${dtype}.pth`);
    const expected = new Map([...(await golden.tensors(`expected_${dtype}.safetensors`))]);
    const { result, events } = await runImport({ source });
    expect(events).toEqual([
      { type: 'stage', stage: 'reading', detail: source },
      { type: 'artifact', kind: 'adapter', path: out },
    ]);
    const imported = await readAdapterFile(out);
    expect(imported.tensors).toEqual(expected);
    const order = [...(await readPth(source)).keys()];
    expect([...imported.tensors.keys()]).toEqual(order);
    expect(imported.recipe).toEqual(result.recipe);
    const facts = golden.json<Record<string, number>>('config.json');
    expect(imported.recipe).toMatchObject({
      preset: 'official',
      options: {
        ...DUALREAL_PRESETS.official,
        bottleneck: facts.spatial_adapter_hidden_dim,
        conditionDim: facts.temporal_adapter_condition_dim,
        groups: facts.controller_output_dim,
      },
      base: { name: null, hash: null, blocks: facts.num_layers, width: facts.inner_dim },
      training: null,
    });
    expect(imported.shape.timeEmbeddingDim).toBe(facts.time_embed_dim);

    const pth = join(folder, 'adapter.pth');
    await runExport({ adapter: out, out: pth, format: 'pth', dtype });
    const exported = await readPth(pth);
    expect(exported).toEqual(expected);
    expect([...exported.keys()]).toEqual(order);
  });

  it('exports bf16 by default, as the release has it', async () => {
    const pth = join(folder, 'adapter.pth');
    const { result } = await runExport({ adapter: golden.path('adapter_f32.pth'), out: pth, format: 'pth' });
    for (const tensor of (await readPth(pth)).values()) expect(tensor.dtype).toBe('bf16');
    expect(result.sizeBytes).toBeLessThan(result.sourceSizeBytes);
  });

  it.each(['refuse_os_system.pth', 'odd_tensors.pth', 'config.json'])(
    '%s is refused, nothing is written',
    async (name) => {
      if (!golden.has(name)) return;
      await expect(runImport({ source: golden.path(name) })).rejects.toThrow(name);
      expect(await readdir(folder)).toEqual([]);
    },
  );

  it('never replaces a file unless asked to', async () => {
    const source = golden.path('adapter_bf16.pth');
    await mkdir(join(folder, 'made'));
    await writeFile(out, 'precious');
    await expect(runImport({ source })).rejects.toThrow(/--overwrite/);
    await expect(runExport({ adapter: source, out, format: 'pth' })).rejects.toThrow(/--overwrite/);
    expect(await readFile(out, 'utf8')).toBe('precious');
    await runImport({ source, overwrite: true });
    expect((await readAdapterFile(out)).recipe).toBeDefined();
    await expect(runImport({ source: out, overwrite: true })).rejects.toThrow(
      /a file without a recipe.*use it as it is/s,
    );
  });

  it('says why a preset does not fit', async () => {
    await expect(runImport({ source: golden.path('adapter_bf16.pth'), preset: 'paper' })).rejects.toThrow(
      /preset paper: expected adapters at one site of each block, got adapters at two sites/,
    );
  });
});

describeGolden('dualreal-transformer', async (golden) => {
  const {
    use_IdAdapter: _i,
    use_MotionAdapter: _m,
    spatial_adapter_alpha: _a,
    temporal_adapter_alpha: _t,
    spatial_adapter_hidden_dim: _s,
    temporal_adapter_hidden_dim: _b,
    ...base
  } = golden.json<Record<string, unknown>>('config.json');
  const config = parseTransformerConfig(base, golden.path('config.json'));
  const weights = new Map([...(await golden.tensors('model.safetensors'))]);
  const adapters = new Map([...weights].filter(([name]) => parameterGroup(name)));
  const io = await golden.tensors('io.safetensors');
  const embedding = io.floats('in.y_image_single');
  const context: ExportContext = { encodeReference: async () => embedding };

  /** A run folder as training leaves it, with the release's adapters in it. */
  async function finishedRun(): Promise<string> {
    const path = join(folder, 'run');
    const run = await createRun(path, { steps: 1 }, {});
    const source = join(folder, 'source.pth');
    await writePth(source, adapters);
    await runImport({ source });
    const { recipe } = await readAdapterFile(out);
    await writeAdapterFile(run.adapterFile, adapters, recipe!);
    await writeFile(join(path, REFERENCE_FILE), 'a photo');
    await run.close();
    return path;
  }

  /** What a generation would compute with a file and nothing else. */
  async function outputWith(path: string): Promise<HostTensor> {
    const { tensors, recipe, shape } = await readAdapterFile(path);
    const latents = io.floats('in.hidden_states');
    const text = io.floats('in.encoder_hidden_states');
    const [batch, latentFrames, , latentHeight, latentWidth] = latents.shape;
    const { output } = traceDualReal(
      config,
      recipe!.options,
      {
        batch,
        latentFrames,
        latentHeight,
        latentWidth,
        textTokens: text.shape[1],
        conditioned: shape.conditionDim > 0,
      },
      { rotaryBase: releaseRotaryBase(config.patch), frozen: true, form: shape.form },
    );
    const values = new Map([...weights].filter(([name]) => !parameterGroup(name)));
    for (const [name, tensor] of tensors) values.set(name, asFloats(tensor));
    const row = embedding.data;
    const condition = floats(
      [batch, 1, row.length],
      Float32Array.from({ length: batch * row.length }, (_, i) => row[i % row.length]),
    );
    const feeds = {
      latents,
      text,
      timestep: io.floats('in.timestep'),
      ...(shape.conditionDim > 0 && { condition }),
    };
    return (await evaluate({ output }, values, feeds)).output;
  }

  describe.each(['condition', 'fused'] as const)('fold: %s', (fold) => {
    it('the written file alone gives the reference output, without a condition', async () => {
      const run = await finishedRun();
      const path = join(folder, 'folded.safetensors');
      const { result, events } = await runExport(
        { adapter: run, out: path, format: 'safetensors', fold },
        context,
      );
      expect(events.map((event) => event.type === 'stage' && event.stage)).toEqual([
        'reading',
        'folding the condition',
        false,
      ]);
      const { recipe, shape } = await readAdapterFile(path);
      expect(shape).toMatchObject({ form: fold === 'fused' ? 'fused' : 'separate', conditionDim: 0 });
      expect(recipe!.folded).toMatchObject({
        form: shape.form,
        reference: { image: REFERENCE_FILE, embeddingHash: expect.stringMatching(/^[0-9a-f]{64}$/) },
      });
      expect(result.sizeBytes).toBeLessThan(result.sourceSizeBytes);
      expectClose(
        await outputWith(path),
        io.get('y_single.sample'),
        { abs: statedTolerance(golden, 1e-4) },
        fold,
      );
    });

    it('in bf16: narrow matrices, f32 biases, no further off than bf16 without folding', async () => {
      const run = await finishedRun();
      const errorOf = async (request: Partial<ExportRequest>) => {
        const path = join(folder, `${request.fold ?? 'plain'}.safetensors`);
        await runExport(
          { adapter: run, out: path, format: 'safetensors', dtype: 'bf16', ...request },
          context,
        );
        return { path, error: maxAbsDifference(await outputWith(path), io.get('y_single.sample')) };
      };
      const plain = await errorOf({});
      const folded = await errorOf({ fold });
      expect(folded.error).toBeLessThan(3 * plain.error);
      expect(plain.error).toBeLessThan(0.1);
      const { tensors } = await readAdapterFile(folded.path);
      for (const [name, { dtype }] of tensors) expect(dtype).toBe(name.endsWith('.bias') ? 'f32' : 'bf16');
    });
  });

  it('refuses what cannot be done, by name, and writes nothing', async () => {
    const run = await finishedRun();
    const file = join(run, 'adapter.safetensors');
    const target = join(folder, 'out.file');
    const attempt = (request: Partial<ExportRequest>, given: ExportContext = context) =>
      runExport({ adapter: file, out: target, format: 'safetensors', ...request }, given);
    await expect(attempt({ fold: 'condition' })).rejects.toThrow(/a reference image.*got none.*--reference/s);
    await expect(attempt({ fold: 'condition', reference: 'photo.png' }, {})).rejects.toThrow(
      /no image encoder/,
    );
    await expect(
      attempt(
        { fold: 'condition', reference: 'photo.png' },
        { encodeReference: async () => floats([1, 1, 5], [1, 2, 3, 4, 5]) },
      ),
    ).rejects.toThrow(/one embedding of \d+ elements, got \[1, 1, 5\]/);
    await expect(attempt({ format: 'pth', fold: 'fused', reference: 'x' })).rejects.toThrow(
      /export them as safetensors/,
    );
    await expect(attempt({ adapter: join(folder, 'nowhere') })).rejects.toThrow(
      /nowhere: expected a run folder or an adapter file/,
    );
    await expect(attempt({ adapter: folder })).rejects.toThrow(/request\.json/);
    const unfinished = await createRun(join(folder, 'unfinished'), {}, {});
    await expect(attempt({ adapter: unfinished.path })).rejects.toThrow(/a finished run.*train --resume/s);
    const folded = join(folder, 'folded.safetensors');
    await runExport({ adapter: run, out: folded, format: 'safetensors', fold: 'condition' }, context);
    await expect(attempt({ adapter: folded, fold: 'fused', reference: 'x' })).rejects.toThrow(
      /already folded/,
    );
    await expect(attempt({ adapter: folded, format: 'pth' })).rejects.toThrow(
      /adapters with their condition/,
    );
    expect(await readdir(folder)).not.toContain('out.file');
  });

  it('does not hand the release adapters that it would compute otherwise', async () => {
    const run = await finishedRun();
    const { recipe, tensors } = await readAdapterFile(join(run, 'adapter.safetensors'));
    const clean = join(folder, 'clean.safetensors');
    const options = { ...recipe!.options, skip: false, weightTotal: 1, conditionDropout: 0.1 };
    await writeAdapterFile(clean, tensors, { ...recipe!, preset: 'clean', options });
    await expect(runExport({ adapter: clean, out: join(folder, 'a.pth'), format: 'pth' })).rejects.toThrow(
      /expected options as the official release has them: weightTotal 0\.2, skip true, got weightTotal 1, skip false/,
    );
    await runExport({
      adapter: clean,
      out: join(folder, 'a.safetensors'),
      format: 'safetensors',
      dtype: 'f16',
    });
    expect((await readAdapterFile(join(folder, 'a.safetensors'))).recipe!.options).toEqual(options);
  });
});
