import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as g from '../../graph/index.ts';
import { parseVaeConfig } from '../../models/cogvideox/vae/index.ts';
import { loadTokenizer } from '../../models/tokenizer/index.ts';
import { createRuntime } from '../../runtime/index.ts';
import { floats } from '../../tensor/host-tensor.ts';
import { readSafetensorsHeader } from '../../tensor/safetensors.ts';
import { buildAtlas } from '../universe/atlas-build.ts';
import { DRAWN_ART } from '../universe/drawn-art.fixture.ts';
import { batcherOf } from './batchers.ts';
import { crossEntropy, pairAccuracy, pairLoss } from './contrastive.ts';
import { writeModel } from './export.ts';
import { listFiles, readManifest, updateManifest } from './manifest.ts';
import { learningRateAt, PRETRAINED_MODELS } from './recipe.ts';
import { nearest, unitRows } from './retrieval.ts';
import { readShipped } from './shipped.ts';
import type { BatchRequest } from './task.ts';
import { openTask } from './tasks.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dualreal-pretrain-'));
  await buildAtlas(DRAWN_ART, join(folder, 'toybox-atlas'));
}, 120_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

const requestOf = (model: BatchRequest['model']): BatchRequest => ({
  model,
  variant: 'shipped',
  seed: 1,
  cacheFolder: folder,
  weightsFolder: join(folder, 'weights'),
  batch: model === 'vae' ? 1 : 4,
});

/** The base's models as they are before training. */
async function shipUntrained(model: BatchRequest['model']): Promise<void> {
  const task = await openTask(requestOf(model));
  const parameters = new Map([...task.initialize(1), ...task.fixed]);
  const source = { model, variant: 'shipped', parameters };
  await writeModel(join(folder, 'weights'), source);
}

describe('pretraining tasks', () => {
  beforeAll(() => shipUntrained('clip'));

  it.each(PRETRAINED_MODELS)(
    '%s: batches are pure functions of the step and fit the program',
    async (model) => {
      const [one, other] = [batcherOf(requestOf(model)), batcherOf(requestOf(model))];
      other(3);
      const batch = one(5);
      expect(other(5)).toEqual(batch);
      expect(one(6)).not.toEqual(batch);
      const { program, trainable, carried } = await openTask(requestOf(model));
      const carriedNames = new Set(carried(1).keys());
      for (const [name, { shape, dtype }] of program.inputs) {
        if (trainable.has(name) || carriedNames.has(name)) continue;
        expect(batch[name], name).toMatchObject({ shape, dtype });
      }
      for (const name of trainable.keys()) expect(program.outputs.has(`gradient:${name}`), name).toBe(true);
    },
  );
});

describe('contrastive losses', () => {
  it('equal the textbook formula and count hits', async () => {
    const runtime = createRuntime({ inline: true, threads: 1 });
    const logits = g.input('logits', [2, 2]);
    const targets = g.input('targets', [2, 2]);
    const executable = await runtime.compile(
      g.program('losses', {
        entropy: crossEntropy(logits, targets),
        pairs: pairLoss(logits),
        accuracy: pairAccuracy(logits),
      }),
    );
    const values = [1, 2, -200, 300];
    const result = await executable.run({
      logits: floats([2, 2], values),
      targets: floats([2, 2], [0.5, 0.5, 0, 1]),
    });
    const rowOne = Math.log(Math.exp(1) + Math.exp(2));
    expect(result.entropy.data[0]).toBeCloseTo((rowOne - 1.5 + 0) / 2, 5);
    // Rows: ln(e + e²) − 1 and 0; columns: 0 and 0.
    expect(result.pairs.data[0]).toBeCloseTo((rowOne - 1) / 4, 5);
    expect(result.accuracy.data[0]).toBe(0.5);
  });
});

describe('retrieval', () => {
  it('finds the most similar row', () => {
    const rows = unitRows(Float32Array.of(2, 0, 0, 5, 3, 3.1), 2);
    expect(nearest(rows, rows, 2)).toEqual([0, 1, 2]);
    expect(nearest(rows, rows, 2, (query, candidate) => query !== candidate)).toEqual([2, 2, 1]);
  });
});

describe('the learning rate', () => {
  it('rises, then falls to a hundredth and stays', () => {
    const schedule = { steps: 110, warmupSteps: 10, learningRate: 1 };
    expect(learningRateAt(schedule, 0)).toBeCloseTo(0.1);
    expect(learningRateAt(schedule, 9)).toBeCloseTo(1);
    expect(learningRateAt(schedule, 60)).toBeCloseTo(0.505);
    expect(learningRateAt(schedule, 110)).toBeCloseTo(0.01);
    expect(learningRateAt(schedule, 1000)).toBeCloseTo(0.01);
  });
});

describe('exported weights', () => {
  it('open again by the published names, in f16, and are listed with their hashes', async () => {
    const weights = join(folder, 'weights');
    for (const model of PRETRAINED_MODELS) await shipUntrained(model);
    const { entries } = await readSafetensorsHeader(
      join(weights, 'vae', 'diffusion_pytorch_model.safetensors'),
    );
    expect(entries.get('encoder.conv_in.conv.weight')?.dtype).toBe('f16');
    const text = await readShipped(weights, 'text_encoder');
    expect([...text.keys()].filter((name) => name.startsWith('head'))).toEqual([]);
    expect(text.get('shared.weight')?.dtype).toBe('f32');
    const dino = await readShipped(weights, 'dino');
    expect([...dino.keys()].every((name) => !name.startsWith('head'))).toBe(true);
    const config = await import('node:fs/promises').then(({ readFile }) =>
      readFile(join(weights, 'vae', 'config.json'), 'utf8'),
    );
    expect(parseVaeConfig(JSON.parse(config)).temporalCompression).toBe(2);
    expect((await loadTokenizer(join(weights, 'tokenizer'))).count('a penguin')).toBe(3);

    const run = { components: ['vae'], variant: 'shipped', seed: 1, step: 1, totalSteps: 2, seconds: 3 };
    await updateManifest(weights, 'vae', run);
    const manifest = await readManifest(weights);
    expect(manifest.models.vae).toEqual(run);
    expect(manifest.files).toEqual(await listFiles(weights));
    expect(manifest.files.map(({ path }) => path)).toContain('vae/diffusion_pytorch_model.safetensors');
    await mkdir(join(folder, 'empty'), { recursive: true });
    expect(await readManifest(join(folder, 'empty'))).toEqual({ models: {}, files: [] });
  });
});
