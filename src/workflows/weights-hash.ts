import { statSync } from 'node:fs';
import { type FeatureCache, featureKey } from '../store/feature-cache.ts';
import type { WeightFiles } from '../store/weights.ts';
import { FileFormatError } from '../tensor/errors.ts';

/**
 * The weights with a hash that outlives the process: reading 20 GB of a real base just to name its features
 * takes longer than using the cached ones. Remembered as long as place, size and times of the files stay.
 */
export function withRememberedHash(weights: WeightFiles, cache: FeatureCache): WeightFiles {
  let hash: Promise<string> | undefined;
  return {
    ...weights,
    hash: () => {
      hash ??= rememberedHash(weights, cache);
      return hash;
    },
  };
}

async function rememberedHash(weights: WeightFiles, cache: FeatureCache): Promise<string> {
  const key = featureKey({ kind: 'weights-hash', version: 1, files: weights.files.map(identityOf) });
  const known = await remembered(key, cache);
  if (known) return known;
  const hash = await weights.hash();
  // Files that were written to meanwhile are not what was read.
  if (key === featureKey({ kind: 'weights-hash', version: 1, files: weights.files.map(identityOf) })) {
    await cache.put(key, new Map(), { hash });
  }
  return hash;
}

async function remembered(key: string, cache: FeatureCache): Promise<string | undefined> {
  try {
    const hash = (await cache.get(key))?.metadata.hash;
    return typeof hash === 'string' ? hash : undefined;
  } catch (error) {
    if (error instanceof FileFormatError) return undefined;
    throw error;
  }
}

function identityOf(file: string): string {
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join(':');
}
