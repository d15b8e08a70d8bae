import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRuntime } from '../runtime/index.ts';
import { latestCheckpoint } from '../store/checkpoint.ts';
import { readRun } from '../store/run-folder.ts';
import { bytesOf } from '../tensor/dtype.ts';
import { CancelledError } from '../tensor/errors.ts';
import { asFloats } from '../tensor/host-tensor.ts';
import { writeModel } from '../toybox/pretrain/export.ts';
import { averageOf } from '../toybox/pretrain/session.ts';
import { openTask } from '../toybox/pretrain/tasks.ts';
import { readBaseParts } from '../toybox/pretrain/transformer/base-parts.ts';
import { writeTransformer } from '../toybox/pretrain/transformer/export.ts';
import { transformerVariant } from '../toybox/pretrain/transformer/variants.ts';
import { buildAtlas } from '../toybox/universe/atlas-build.ts';
import { DRAWN_ART } from '../toybox/universe/drawn-art.fixture.ts';
import { openBase } from './base.ts';
import { pretrainTransformer } from './pretrain-transformer.ts';
import { transformerConfigOf } from './pretrain-transformer-plan.ts';
import { pretrainTransformerRequestSchema } from './pretrain-transformer-request.ts';
import { runWorkflow, type WorkflowContext } from './workflow.ts';

let folder: string;
let weightsFolder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dualreal-transformer-'));
  weightsFolder = join(folder, 'weights');
  await buildAtlas(DRAWN_ART, join(folder, 'toybox-atlas'));
  for (const model of ['clip', 'text', 'vae'] as const) {
    const variant = 'shipped';
    const task = await openTask({ model, variant, seed: 1, cacheFolder: folder, weightsFolder, batch: 2 });
    await writeModel(weightsFolder, {
      model,
      variant,
      parameters: new Map([...task.initialize(1), ...task.fixed]),
    });
  }
}, 120_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

const requestOf = (fields: object) =>
  pretrainTransformerRequestSchema.parse({
    variant: 'tiny',
    threads: 1,
    renderThreads: 1,
    stateFolder: folder,
    cacheFolder: folder,
    weightsFolder,
    ...fields,
  });

const contextOf = (signal?: AbortSignal): WorkflowContext => ({
  signal,
  clock: () => performance.now(),
  openRuntime: ({ threads }) => createRuntime({ inline: true, ...(threads && { threads }) }),
  cacheFolder: folder,
});

async function stateOf(name: string) {
  const { checkpoint } = await latestCheckpoint(await readRun(join(folder, name)));
  expect(checkpoint?.step).toBe(6);
  return checkpoint!.tensors;
}

describe('pretraining the transformer', () => {
  it('goes on bit by bit where it was stopped, over images, clips and parts of clips', {
    timeout: 240_000,
  }, async () => {
    const steps: string[] = [];
    const named = (name: string, fields: object = {}) => requestOf({ name, clipTokens: 100, ...fields });
    await runWorkflow(pretrainTransformer(named('whole'), contextOf()), (event) => {
      if (event.type === 'pretrain') steps.push(`${event.step} ${Object.keys(event.numbers)}`);
    });
    expect(steps).toEqual(['1 images', '2 images', '3 clips', '4 images', '5 clips', '6 parts']);

    const stop = new AbortController();
    const parts = pretrainTransformer(named('parts'), contextOf(stop.signal));
    const stages: string[] = [];
    await expect(
      runWorkflow(parts, (event) => {
        if (event.type === 'progress') stages.push(event.stage);
        if (event.type === 'pretrain' && event.step === 3) stop.abort();
      }),
    ).rejects.toThrow(CancelledError);
    // The latents are there already.
    expect(stages).toEqual([]);
    await runWorkflow(pretrainTransformer(named('parts', { resume: true }), contextOf()), () => {});

    const [whole, resumed] = [await stateOf('whole'), await stateOf('parts')];
    expect([...resumed.keys()].sort()).toEqual([...whole.keys()].sort());
    for (const [name, { data }] of whole) {
      expect(Buffer.compare(bytesOf(data), bytesOf(resumed.get(name)!.data)), name).toBe(0);
    }
    const samples = await readdir(join(folder, 'whole', 'samples'));
    expect(samples).toEqual(['clips-0000006.png']);
    expect(await readFile(join(folder, 'whole', 'curves.png'))).not.toHaveLength(0);

    const config = transformerConfigOf(transformerVariant('tiny'), await readBaseParts(weightsFolder));
    await writeTransformer(weightsFolder, config, averageOf(whole));
    const base = await openBase(weightsFolder);
    expect(base.transformer).toEqual(config);
    expect(base.sampler).toBe('dpm');

    // A step with a learning rate of next to nothing leaves them as they are, up to f16.
    const again = requestOf({ name: 'again', startFrom: 'shipped', steps: 6, learningRate: 1e-12 });
    await runWorkflow(pretrainTransformer(again, contextOf()), () => {});
    const started = await stateOf('again');
    for (const [name, { data }] of averageOf(whole)) {
      const found = asFloats(started.get(name)!).data;
      const far = [...found].filter((value, i) => Math.abs(value - Number(data[i])) > 1e-3);
      expect(far, name).toEqual([]);
    }
  });

  it('gives the mean gradient of micro-batches', { timeout: 120_000 }, async () => {
    const request = requestOf({
      name: 'micro',
      batch: 2,
      imageBatch: 2,
      microBatches: 2,
      checkpointed: true,
    });
    const result = await runWorkflow(pretrainTransformer(request, contextOf()), () => {});
    expect(result.step).toBe(6);
    await expect(
      runWorkflow(pretrainTransformer(requestOf({ name: 'odd', microBatches: 2 }), contextOf()), () => {}),
    ).rejects.toThrow(/imageBatch: expected a multiple of 2/);
    const all = pretrainTransformer(requestOf({ name: 'all', clipTokens: 320 }), contextOf());
    await expect(runWorkflow(all, () => {})).rejects.toThrow(/fewer than the 320 tokens of a clip/);
  });
});
