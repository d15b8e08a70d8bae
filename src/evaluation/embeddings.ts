import type { FloatTensor } from '../tensor/host-tensor.ts';
import { formatShape } from '../tensor/shape.ts';
import { type EncoderIdentity, MetricError, type MetricValue, requireSameEncoder } from './metric.ts';

/** Embeddings with what made them. */
export interface Embeddings {
  /** [N, E], of any length. */
  readonly vectors: FloatTensor;
  readonly encoder: EncoderIdentity;
}

/** CLIP-T: mean over frames of cos(prompt, frame). frames [F, E], prompt [1, E]. */
export function clipT(frames: Embeddings, prompt: Embeddings): MetricValue {
  requireSameEncoder('CLIP-T', frames.encoder, prompt.encoder);
  return {
    metric: 'clip-t',
    value: meanCosine('CLIP-T', frames, prompt),
    encoder: frames.encoder,
    settings: {},
  };
}

/**
 * CLIP-I or DINO-I: mean over all pairs of cos(reference photo, frame). Each embedding is scaled to length 1;
 * their means are not. frames [F, E], references [R, E].
 */
export function imageSimilarity(
  metric: 'clip-i' | 'dino-i',
  frames: Embeddings,
  references: Embeddings,
): MetricValue {
  requireSameEncoder(metric, frames.encoder, references.encoder);
  return {
    metric,
    value: meanCosine(metric, frames, references),
    encoder: frames.encoder,
    settings: { references: references.vectors.shape[0] },
  };
}

/** T-Cons: mean cosine of consecutive frames. frames [F, E], F ≥ 2. */
export function temporalConsistency(frames: Embeddings): MetricValue {
  const rows = unitRows('T-Cons', frames.vectors);
  if (rows.length < 2) {
    throw new MetricError({ where: 'T-Cons', expected: 'at least two frames', got: `${rows.length}` });
  }
  let sum = 0;
  for (let i = 1; i < rows.length; i++) sum += dot(rows[i - 1], rows[i]);
  return { metric: 't-cons', value: sum / (rows.length - 1), encoder: frames.encoder, settings: {} };
}

/** Mean over all pairs of a row of `a` and a row of `b`. */
function meanCosine(where: string, a: Embeddings, b: Embeddings): number {
  const [left, right] = [unitRows(where, a.vectors), unitRows(where, b.vectors)];
  let sum = 0;
  for (const row of left) for (const other of right) sum += dot(row, other);
  return sum / (left.length * right.length);
}

function unitRows(where: string, { shape, data }: FloatTensor): Float64Array[] {
  const [count, width] = shape;
  if (shape.length !== 2 || count < 1) {
    throw new MetricError({ where, expected: 'embeddings [N, E], N ≥ 1', got: formatShape(shape) });
  }
  return Array.from({ length: count }, (_, i) => {
    const row = Float64Array.from(data.subarray(i * width, (i + 1) * width));
    const length = Math.sqrt(dot(row, row));
    if (!(length > 0 && Number.isFinite(length))) {
      throw new MetricError({
        where,
        expected: 'embeddings with a direction',
        got: `embedding ${i} of length ${length}`,
      });
    }
    return row.map((value) => value / length);
  });
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
