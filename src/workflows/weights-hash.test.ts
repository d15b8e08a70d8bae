import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { FeatureCache } from '../store/feature-cache.ts';
import type { WeightFiles } from '../store/weights.ts';
import { withRememberedHash } from './weights-hash.ts';

let folder: string;
let reads: number;
let cache: FeatureCache;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weights-hash-'));
  cache = new FeatureCache(join(folder, 'cache'));
  reads = 0;
  await writeFile(join(folder, 'model.safetensors'), 'weights');
});
afterEach(() => rm(folder, { recursive: true }));

/** Opened anew, as another process would; counts how often the contents are read. */
function opened(): WeightFiles {
  const weights: WeightFiles = {
    path: folder,
    files: [join(folder, 'model.safetensors')],
    entries: new Map(),
    read: () => Promise.reject(new Error('not needed')),
    hash: async () => `hash ${++reads}`,
  };
  return withRememberedHash(weights, cache);
}

it('reads the contents once for all processes', async () => {
  expect(await opened().hash()).toBe('hash 1');
  expect(await opened().hash()).toBe('hash 1');
});

it('reads them again when the file changes or the memory is damaged', async () => {
  await opened().hash();
  await appendFile(join(folder, 'model.safetensors'), '!');
  expect(await opened().hash()).toBe('hash 2');
  for (const { path } of await cache.list()) await writeFile(path, 'damaged');
  expect(await opened().hash()).toBe('hash 3');
  expect(await opened().hash()).toBe('hash 3');
});
