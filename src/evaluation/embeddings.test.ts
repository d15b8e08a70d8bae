import { describe, expect, it } from 'vitest';
import { floats } from '../tensor/host-tensor.ts';
import { clipT, type Embeddings, imageSimilarity, temporalConsistency } from './embeddings.ts';
import { type EncoderIdentity, MetricError } from './metric.ts';

const encoder: EncoderIdentity = { name: 'clip', source: 'by hand', settings: { dim: 2 } };
const rows = (...vectors: readonly [number, number][]): Embeddings => ({
  vectors: floats([vectors.length, 2], vectors.flat()),
  encoder,
});

describe('CLIP-T', () => {
  it('is the mean cosine of prompt and frames', () => {
    // Against (1, 0): (3, 4) has cosine 3/5, (0, 2) has 0, (5, 12) has 5/13.
    const value = clipT(rows([3, 4], [0, 2], [5, 12]), rows([7, 0]));
    expect(value.value).toBeCloseTo((3 / 5 + 0 + 5 / 13) / 3, 12);
    expect(value).toMatchObject({ metric: 'clip-t', encoder, settings: {} });
  });

  it('does not depend on the length of embeddings', () => {
    const short = clipT(rows([3, 4]), rows([1, 2])).value;
    expect(clipT(rows([300, 400]), rows([0.01, 0.02])).value).toBeCloseTo(short, 6);
  });

  it('wants both sides from one encoder', () => {
    const other = { ...rows([1, 0]), encoder: { ...encoder, source: 'elsewhere' } };
    expect(() => clipT(rows([1, 0]), other)).toThrow(MetricError);
    expect(() => clipT(rows([1, 0]), other)).toThrow('cannot be compared');
  });
});

describe('CLIP-I and DINO-I', () => {
  it('average over every pair of photo and frame', () => {
    // Frames (1, 0), (0, 1); photos (3, 4), (1, 0): cosines 3/5, 1, 4/5, 0.
    const value = imageSimilarity('dino-i', rows([1, 0], [0, 1]), rows([3, 4], [1, 0]));
    expect(value.value).toBeCloseTo((3 / 5 + 1 + 4 / 5 + 0) / 4, 12);
    expect(value).toMatchObject({ metric: 'dino-i', settings: { references: 2 } });
  });

  it('average cosines, not embeddings', () => {
    // Opposite photos: the mean photo has no direction, the mean cosine is 0.
    expect(imageSimilarity('clip-i', rows([1, 0]), rows([1, 0], [-1, 0])).value).toBe(0);
  });
});

describe('T-Cons', () => {
  it('is 1 for a clip that stands still', () => {
    expect(temporalConsistency(rows([3, 4], [3, 4], [6, 8])).value).toBeCloseTo(1, 12);
  });

  it('compares neighbours only', () => {
    // A jump in the middle: cosines 1, 0, 1.
    expect(temporalConsistency(rows([1, 0], [1, 0], [0, 1], [0, 1])).value).toBeCloseTo(2 / 3, 12);
  });

  it('needs two frames', () => {
    expect(() => temporalConsistency(rows([1, 0]))).toThrow('expected at least two frames, got 1');
  });
});

it('refuses embeddings without a direction', () => {
  expect(() => temporalConsistency(rows([0, 0], [1, 0]))).toThrow('embedding 0 of length 0');
  expect(() => clipT(rows([Number.NaN, 0]), rows([1, 0]))).toThrow('embedding 0 of length NaN');
  const empty = { vectors: floats([0, 2], []), encoder };
  expect(() => imageSimilarity('clip-i', rows([1, 0]), empty)).toThrow('N ≥ 1');
});
