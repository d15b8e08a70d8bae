import { expect, it } from 'vitest';
import { topSpeeds } from '../../src/evaluation/dynamic-degree.ts';
import { frameOf } from '../../src/evaluation/frames.ts';
import {
  clipT,
  dynamicDegree,
  type EncoderIdentity,
  type Flows,
  type FrameInterpolator,
  type Frames,
  imageSimilarity,
  motionSmoothness,
  type Trajectories,
  temporalConsistency,
  temporalFlickering,
  trajectoryCorrelation,
  vbenchDynamic,
  vbenchFrameStep,
} from '../../src/evaluation/index.ts';
import { zeros } from '../../src/tensor/host-tensor.ts';
import { describeGolden, expectClose, statedTolerance } from './golden.ts';

interface Cases {
  readonly flicker: readonly { clip: string; value: number }[];
  readonly smoothness: readonly { clip: string; value: number }[];
  readonly dynamic: readonly {
    readonly flow: string;
    readonly fps: number;
    readonly scores: readonly number[];
    readonly mean: number;
    readonly dynamic: boolean;
    readonly step: number;
  }[];
  readonly similarity: readonly {
    readonly case: string;
    readonly clipT: number;
    readonly clipI: number;
    readonly dinoI: number;
    readonly temporalConsistency: number;
  }[];
}

const encoder: EncoderIdentity = { name: 'given', source: 'golden', settings: {} };

/** What stands in for AMT in the folder: the mean of both images, cut to 8 bits. */
const averaging: FrameInterpolator = {
  identity: encoder,
  midpoints: async (frames, pairs) => {
    const [, height, width] = frames.shape;
    const made = zeros('u8', [pairs.length, height, width, 3]);
    for (const [i, [a, b]] of pairs.entries()) {
      const other = frameOf(frames, b);
      frameOf(made, i).set(frameOf(frames, a).map((value, k) => average(value, other[k])));
    }
    return made;
  },
  release: async () => {},
};

/** In single precision, as upstream counts: 0 … 1, then back. */
function average(a: number, b: number): number {
  const sum = Math.fround(Math.fround(a / 255) + Math.fround(b / 255));
  return Math.trunc(Math.fround((sum / 2) * 255));
}

describeGolden('video-metrics', async (golden) => {
  const io = await golden.tensors('io.safetensors');
  const cases = golden.json<Cases>('cases.json');
  const tolerance = { abs: statedTolerance(golden, 2e-6) };
  const clip = (name: string) => io.get(name) as Frames;

  it.each(cases.flicker)('temporal flickering of $clip', ({ clip: name, value }) => {
    expectClose([temporalFlickering(clip(name)).value], [value], tolerance, name);
  });

  it.each(cases.smoothness)('motion smoothness of $clip', async ({ clip: name, value }) => {
    const smoothness = await motionSmoothness(clip(name), averaging);
    expectClose([smoothness.value], [value], tolerance, name);
  });

  it.each(cases.dynamic)('dynamic degree of $flow', ({ flow, fps, scores, mean, dynamic, step }) => {
    const planar = io.floats(flow);
    const [pairs, , height, width] = planar.shape;
    const fields = zeros('f32', [pairs, height, width, 2]);
    const area = height * width;
    for (let i = 0; i < pairs * area; i++) {
      const from = Math.floor(i / area) * 2 * area + (i % area);
      fields.data[2 * i] = planar.data[from];
      fields.data[2 * i + 1] = planar.data[from + area];
    }
    const flows: Flows = { fields, estimator: encoder };
    const relative = { rel: 2e-6 };
    expectClose(topSpeeds(flows), scores, relative, 'scores');
    expectClose([dynamicDegree({ flows, fps }).value], [mean], relative, 'mean');
    expect(vbenchDynamic({ flows, fps }).value).toBe(dynamic ? 1 : 0);
    expect(vbenchFrameStep(fps)).toBe(step);
  });

  it.each(cases.similarity)('similarities of $case', (expected) => {
    const rows = (name: string) => ({ vectors: io.floats(`${expected.case}.${name}`), encoder });
    const frames = rows('frames');
    const found = [
      clipT(frames, rows('text')),
      imageSimilarity('clip-i', frames, rows('photos')),
      imageSimilarity('dino-i', rows('frames_dino'), rows('photos_dino')),
      temporalConsistency(frames),
    ];
    const { clipT: text, clipI, dinoI, temporalConsistency: consistency } = expected;
    expectClose(
      found.map(({ value }) => value),
      [text, clipI, dinoI, consistency],
      tolerance,
      expected.case,
    );
  });

  it('correlation of each pair of tracks', () => {
    const [a, b, similarity] = ['a', 'b', 'similarity'].map((name) => io.floats(`tracks.${name}`));
    const [count, others] = similarity.shape;
    for (let i = 0; i < count; i++) {
      for (let j = 0; j < others; j++) {
        const value = trajectoryCorrelation(trackOf(a.data, a.shape, i), trackOf(b.data, b.shape, j));
        expectClose([value], [similarity.data[i * others + j]], tolerance, `tracks ${i} and ${j}`);
      }
    }
  });
});

/** One track of positions [N, T, 2] as a clip of its own, in a picture so small that nothing stands still. */
function trackOf(positions: Float32Array, [, length]: readonly number[], index: number): Trajectories {
  const steps = new Float32Array((length - 1) * 2);
  for (let i = 0; i < steps.length; i++) {
    const at = index * length * 2 + i;
    steps[i] = positions[at + 2] - positions[at];
  }
  return { steps, stepCount: length - 1, pointCount: 1, shortSide: 1e-3, estimator: encoder };
}
