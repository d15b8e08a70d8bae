import { type HostTensor, integers } from '../../tensor/host-tensor.ts';
import type { T5Config } from './config.ts';

type BucketConfig = Pick<T5Config, 'positionBuckets' | 'maxDistance'>;

/**
 * T5's bucket of a relative position (key index − query index), for bidirectional attention: one half of the
 * buckets for each direction; in a half the first buckets are single distances and the others grow
 * logarithmically up to `maxDistance`, beyond which all distances share the last one. The logarithms are
 * rounded to f32 as upstream computes them, since they decide the bucket at its edges.
 */
export function positionBucket(relative: number, { positionBuckets, maxDistance }: BucketConfig): number {
  const half = positionBuckets / 2;
  const base = relative > 0 ? half : 0;
  const distance = Math.abs(relative);
  const exact = half / 2;
  if (distance < exact) return base + distance;
  const { fround } = Math;
  const portion = fround(fround(Math.log(fround(distance / exact))) / fround(Math.log(maxDistance / exact)));
  const large = exact + Math.trunc(fround(portion * (half - exact)));
  return base + Math.min(large, half - 1);
}

/** Buckets of all pairs (query, key): i64 [S, S]. */
export function positionBuckets(tokens: number, config: BucketConfig): HostTensor<'i64'> {
  const buckets = new Array<number>(tokens * tokens);
  for (let query = 0; query < tokens; query++) {
    for (let key = 0; key < tokens; key++) {
      buckets[query * tokens + key] = positionBucket(key - query, config);
    }
  }
  return integers([tokens, tokens], buckets);
}
