import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { discClip } from '../../test/metric-clips.ts';
import { METRIC_NAMES } from '../evaluation/index.ts';
import { input } from '../graph/index.ts';
import { encodePhoto, encodeVideo } from '../media/index.ts';
import { encoderFamily } from '../models/encoder-family.ts';
import { Parameters } from '../nn/parameters.ts';
import { createRuntime } from '../runtime/index.ts';
import { CancelledError } from '../tensor/errors.ts';
import { floats, type HostTensor } from '../tensor/host-tensor.ts';
import { randomStream } from '../tensor/random.ts';
import { writeSafetensorsFile } from '../tensor/safetensors.ts';
import { sizeOf } from '../tensor/shape.ts';
import { clipTokenizerFiles } from '../toybox/pretrain/tokenizers.ts';
import { evaluate } from './evaluate.ts';
import { EvaluateError } from './evaluate-inputs.ts';
import { type EvaluateRequestInput, evaluateRequestSchema } from './evaluate-request.ts';
import { renderEvaluation } from './evaluate-text.ts';
import { runWorkflow, type WorkflowEvent } from './workflow.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualreal-evaluate-'));
const at = (...parts: string[]) => join(folder, ...parts);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SIDE = 32;
const tower = { hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2 };

async function writeEncoder(name: string, config: Record<string, unknown>): Promise<void> {
  mkdirSync(at(name), { recursive: true });
  writeFileSync(at(name, 'config.json'), JSON.stringify(config));
  const parameters = new Parameters();
  const family = encoderFamily(config);
  family.imageFeatures(parameters.root, input('pixels', [1, 3, family.imageSide, family.imageSide]));
  family.text?.features(parameters.root, input('ids', [1, family.text.tokens], 'i64'));
  const random = randomStream(5, name);
  const tensors = new Map<string, HostTensor>();
  for (const [path, { shape }] of parameters.declared) {
    tensors.set(
      path,
      floats(
        shape,
        random.normals(sizeOf(shape)).map((value) => value / 4),
      ),
    );
  }
  await writeSafetensorsFile(at(name, 'model.safetensors'), tensors, {});
}

/** A finished output of `generate`, as far as evaluation looks at it. */
async function writeOutput(id: string, prompt: string, seed: number, speed: number): Promise<void> {
  mkdirSync(at('outputs', id), { recursive: true });
  const record = { version: 1, prompt, seed, base: 'tiny', request: {} };
  writeFileSync(at('outputs', id, 'request.json'), JSON.stringify(record));
  const clip = discClip(9, SIDE, (frame) => [speed * (frame - 4), 0], seed);
  await encodeVideo(at('outputs', id, 'video.mp4'), clip, { fps: 8, crf: 4 });
}

beforeAll(async () => {
  const { json, config } = clipTokenizerFiles();
  const vocabulary = 2000;
  await writeEncoder('clip', {
    model_type: 'clip',
    projection_dim: 12,
    text_config: { ...tower, vocab_size: vocabulary, max_position_embeddings: 12 },
    vision_config: { ...tower, image_size: SIDE, patch_size: 8 },
  });
  writeFileSync(at('clip', 'tokenizer.json'), JSON.stringify(json));
  writeFileSync(at('clip', 'tokenizer_config.json'), JSON.stringify(config));
  await writeEncoder('dino', {
    arch: 'vit_tiny',
    img_size: SIDE,
    patch_size: 8,
    embed_dim: 16,
    depth: 1,
    num_heads: 2,
  });
  await writeOutput('a', 'a dog is jumping', 1, 1);
  await writeOutput('b', 'a dog is jumping', 2, 1.5);
  await writeOutput('c', 'a cat is jumping', 3, 0);
  mkdirSync(at('photos'));
  for (const seed of [1, 2]) {
    const photo = discClip(1, SIDE + 8 * seed, () => [0, 0], seed);
    await encodePhoto(at('photos', `${seed}.png`), { ...photo, shape: photo.shape.slice(1) });
  }
  mkdirSync(at('motion'));
  for (const seed of [11, 12]) {
    const clip = discClip(20, 2 * SIDE, (frame) => [2 * (frame - 4), 0], seed);
    await encodeVideo(at('motion', `${seed}.mp4`), clip, { fps: 25 });
  }
});

async function run(request: EvaluateRequestInput, signal?: AbortSignal) {
  const events: WorkflowEvent[] = [];
  const context = {
    signal,
    clock: () => performance.now(),
    openRuntime: () => createRuntime({ inline: true, threads: 1 }),
  };
  const report = await runWorkflow(evaluate(evaluateRequestSchema.parse(request), context), (event) => {
    events.push(event);
  });
  return { report, events };
}

const everything = (): EvaluateRequestInput => ({
  videos: [at('outputs')],
  subject: [at('photos')],
  motion: [at('motion')],
  clip: at('clip'),
  dino: at('dino'),
});

describe('evaluate', () => {
  it('measures outputs of generate on every metric, and writes the report', async () => {
    const { report, events } = await run({ ...everything(), out: at('report') });
    expect(report.videos.map(({ prompt, seed }) => [prompt, seed])).toEqual([
      ['a dog is jumping', 1],
      ['a dog is jumping', 2],
      ['a cat is jumping', 3],
    ]);
    for (const video of report.videos) {
      expect(video).toMatchObject({ frames: 9, width: SIDE, height: SIDE, fps: 8, missing: [] });
      expect(video.values.map(({ metric }) => metric)).toEqual([...METRIC_NAMES]);
      for (const { value } of video.values) expect(Number.isFinite(value)).toBe(true);
    }
    const of = (index: number, metric: string) =>
      report.videos[index].values.find((value) => value.metric === metric)!;
    // The discs go 1, 1.5 and 0 pixels a frame; the reference goes 2 at twice the size: 1.
    expect(of(0, 'dynamic-degree').value).toBeCloseTo(1, 0);
    expect(of(1, 'dynamic-degree').value).toBeGreaterThan(of(0, 'dynamic-degree').value + 0.2);
    expect(of(2, 'dynamic-degree').value).toBeLessThan(0.2);
    expect(Math.abs(of(0, 'dynamic-degree-deviation').value)).toBeLessThan(0.4);
    expect(of(2, 'dynamic-degree-deviation').value).toBeLessThan(-0.6);
    expect(of(0, 'motion-fidelity').value).toBeGreaterThan(0.7);
    expect(of(2, 'motion-fidelity').value).toBe(0);
    expect(of(0, 'clip-t').encoder).toMatchObject({ name: 'clip', settings: { dim: 12 } });
    expect(of(0, 'clip-t').encoder.hash).toMatch(/^[0-9a-f]{64}$/);
    expect(of(0, 'dino-i').encoder.name).toBe('dino');

    expect(report.missing).toEqual([]);
    expect(report.summaries.map(({ metric, count, units }) => [metric, count, units])).toEqual(
      METRIC_NAMES.map((metric) => [metric, 3, 2]),
    );
    const [motion] = report.references.motion;
    expect(motion).toMatchObject({ frames: 9, width: SIDE, fps: 8, dynamicDegree: { count: 2 } });
    expect(motion.motionFidelity!.mean).toBeGreaterThan(0.7);
    const mean = (metric: string) => report.summaries.find((each) => each.metric === metric)!.mean;
    expect(mean('dynamic-degree-deviation')).toBeCloseTo(
      mean('dynamic-degree') - motion.dynamicDegree.mean,
      9,
    );

    expect(JSON.parse(readFileSync(at('report', 'evaluation.json'), 'utf8'))).toEqual(
      JSON.parse(JSON.stringify(report)),
    );
    const csv = readFileSync(at('report', 'evaluation.csv'), 'utf8').trimEnd().split('\r\n');
    expect(csv.length).toBe(1 + 4 * METRIC_NAMES.length);
    expect(csv[1]).toContain(',clip-t,');
    for (const line of csv.slice(1))
      expect(line).toMatch(/,(clip|dino|pixels|farneback|farneback interpolation),/);
    const text = readFileSync(at('report', 'evaluation.txt'), 'utf8');
    expect(text).toBe(renderEvaluation(report));
    expect(text).toMatch(/CLIP-T +-?0\.\d+ +-?0\.\d+ … -?0\.\d+ +3 of 2 prompts +\[a\]/);
    expect(text).toMatch(/\[a\] clip \(.*\/clip, [0-9a-f]{12}; dim 12/);
    expect(events.filter(({ type }) => type === 'artifact').length).toBe(3);
  });

  it('says what is missing for a metric, and measures the rest', async () => {
    const { report } = await run({ videos: [at('motion', '11.mp4')] });
    const reasons = Object.fromEntries(report.missing.map(({ metric, reason }) => [metric, reason]));
    expect(reasons['dynamic-degree-deviation']).toBe('no reference clips');
    expect(reasons['motion-fidelity']).toBe('no reference clips');
    const measured = report.summaries.map(({ metric }) => metric);
    expect(measured).toEqual(
      expect.arrayContaining(['motion-smoothness', 'temporal-flickering', 'dynamic-degree']),
    );
    for (const summary of report.summaries) expect(summary).not.toHaveProperty('interval');
    expect(renderEvaluation(report)).toContain('Not measured');
  });

  it('takes references, fit and prompts from a run folder', async () => {
    mkdirSync(at('run'));
    const request = { subject: [at('photos')], motion: [at('motion')], fit: 'crop', fps: 8 };
    const record = { version: 1, createdAt: new Date(0).toISOString(), versions: {}, request };
    writeFileSync(at('run', 'request.json'), JSON.stringify(record));
    renameSync(at('outputs'), at('run', 'outputs'));
    try {
      mkdirSync(at('run', 'outputs', 'unfinished'));
      writeFileSync(at('run', 'outputs', 'unfinished', 'request.json'), '{}');
      const { report, events } = await run({ videos: [at('run')], metrics: ['motion-fidelity'] });
      expect(report.videos.length).toBe(3);
      expect(report.references.photos.length).toBe(2);
      expect(report.references.clips.length).toBe(2);
      // Read at 8 of 25 frames per second the 20 frames of a clip are 7.
      expect(report.summaries[0]).toMatchObject({ metric: 'motion-fidelity', settings: { references: 2 } });
      expect(events).toContainEqual({
        type: 'notice',
        message: `not finished, left out: ${at('run', 'outputs', 'unfinished')}`,
      });
    } finally {
      rmSync(at('run', 'outputs', 'unfinished'), { recursive: true });
      renameSync(at('run', 'outputs'), at('outputs'));
    }
  });

  it('has no common mean for videos of different size', async () => {
    const videos = [at('outputs', 'a'), at('motion', '11.mp4')];
    const { report } = await run({ videos, metrics: ['temporal-flickering'] });
    expect(report.videos.length).toBe(2);
    expect(report.summaries).toEqual([]);
    expect(report.missing[0].reason).toContain('differ in size');
  });

  it('goes on without a video that cannot be read', async () => {
    writeFileSync(at('broken.mp4'), 'not a video');
    const videos = [at('broken.mp4'), at('outputs', 'a'), at('photos', '1.png')];
    const { report } = await run({ videos, metrics: ['temporal-flickering'] });
    expect(report.videos.length).toBe(1);
    expect(report.failed.map(({ path }) => path)).toEqual([at('broken.mp4'), at('photos', '1.png')]);
    expect(report.failed[1].message).toContain('a clip of at least two frames');
    expect(renderEvaluation(report)).toContain('Could not be read');
  });

  it('refuses references that cannot be used, and empty requests', async () => {
    await expect(run({ ...everything(), motion: [at('photos', '1.png')] })).rejects.toThrow(EvaluateError);
    await expect(run({ ...everything(), subject: [at('motion', '11.mp4')] })).rejects.toThrow('a photo');
    await expect(run({ ...everything(), clip: at('dino') })).rejects.toThrow('a text tower');
    await expect(run({ videos: [at('nowhere')] })).rejects.toThrow('nothing at this path');
    expect(evaluateRequestSchema.safeParse({ videos: [] }).success).toBe(false);
    expect(evaluateRequestSchema.safeParse({ videos: ['x'], metrics: ['fvd'] }).success).toBe(false);
  });

  it('stops when it is cancelled', async () => {
    await expect(run(everything(), AbortSignal.abort())).rejects.toThrow(CancelledError);
  });

  it('says when a video is its own reference', async () => {
    const { events } = await run({
      videos: [at('motion', '11.mp4')],
      motion: [at('motion')],
      metrics: ['temporal-flickering'],
    });
    const notices = events.flatMap((event) => (event.type === 'notice' ? [event.message] : []));
    expect(notices).toEqual([
      `measured and a reference at once, so it is like itself: ${at('motion', '11.mp4')}`,
    ]);
  });
});
