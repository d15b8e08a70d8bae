import { createHash } from 'node:crypto';
import {
  appendFile,
  chmod,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FileFormatError } from '../tensor/errors.ts';
import { floats, type HostTensor } from '../tensor/host-tensor.ts';
import { FeatureCache, FeatureKeyError, featureKey, hashFile } from './feature-cache.ts';

let folder: string;
let cache: FeatureCache;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dualreal-cache-'));
  cache = new FeatureCache(join(folder, 'not', 'yet', 'there'));
});
afterEach(() => rm(folder, { recursive: true }));

const tensors = (value: number, length = 4): Map<string, HostTensor> =>
  new Map([['mean', floats([length], new Float32Array(length).fill(value))]]);
const keys = [1, 2, 3].map((n) => featureKey({ n }));
const pathOf = async (key: string) => (await cache.list()).find((entry) => entry.key === key)!.path;
const noNotice = (message: string) => expect.fail(message);

describe('featureKey', () => {
  it('is the SHA-256 of canonical JSON', () => {
    const hash = createHash('sha256').update('{"a":[1,2],"b":"x"}').digest('hex');
    expect(featureKey({ b: 'x', a: [1, 2] })).toBe(hash);
    expect(featureKey({ b: 'x', a: [2, 1] })).not.toBe(hash);
    expect(featureKey({ b: 'x', a: [1, 2], c: undefined })).toBe(hash);
    expect(() => featureKey({ size: Number.NaN })).toThrow('feature key.size');
  });
});

describe('FeatureCache', () => {
  it('gives back what was put, in this and another cache object, and nothing otherwise', async () => {
    expect(await cache.get(keys[0])).toBeUndefined();
    expect(await cache.list()).toEqual([]);
    await cache.put(keys[0], tensors(1), { source: 'a.mp4', frames: 49 });
    const other = new FeatureCache(cache.folder);
    expect(await other.get(keys[0])).toEqual({
      tensors: tensors(1),
      metadata: { source: 'a.mp4', frames: 49 },
    });
    expect(await other.get(keys[1])).toBeUndefined();
  });

  it('computes once', async () => {
    let computed = 0;
    const compute = async () => {
      computed++;
      return tensors(computed);
    };
    for (let round = 0; round < 3; round++) {
      expect(await cache.getOrCompute(keys[0], compute, noNotice)).toEqual(tensors(1));
    }
    await expect(
      cache.getOrCompute(keys[1], () => Promise.reject(new Error('no encoder')), noNotice),
    ).rejects.toThrow('no encoder');
    expect((await cache.list()).map(({ key }) => key)).toEqual([keys[0]]);
  });

  it('tells what was noted about features whenever they are used', async () => {
    const told: string[] = [];
    const compute = async (note: (message: string) => void) => {
      note('the prompt is too long');
      return tensors(1);
    };
    for (let round = 1; round <= 2; round++) {
      await cache.getOrCompute(keys[0], compute, (message) => told.push(message));
      expect(told).toEqual(Array.from({ length: round }, () => 'the prompt is too long'));
    }
    await cache.put(keys[1], tensors(2));
    await cache.getOrCompute(keys[1], compute, (message) => told.push(message));
    expect(told).toHaveLength(2);
  });

  it('a damaged entry is a clear error, or is reported and computed again', async () => {
    await cache.put(keys[0], tensors(1));
    const path = await pathOf(keys[0]);
    const bytes = await readFile(path);
    bytes[bytes.byteLength - 2] ^= 8;
    await writeFile(path, bytes);
    await expect(cache.get(keys[0])).rejects.toThrow(FileFormatError);
    await expect(cache.get(keys[0])).rejects.toThrow(path);
    const notices: string[] = [];
    const again = await cache.getOrCompute(
      keys[0],
      async () => tensors(2),
      (message) => notices.push(message),
    );
    expect(again).toEqual(tensors(2));
    expect(notices).toEqual([expect.stringMatching(/damaged and are computed again.*checksum/s)]);
    expect((await cache.get(keys[0]))!.tensors).toEqual(tensors(2));
  });

  it('detects an entry under another key, and one that is cut off', async () => {
    await cache.put(keys[0], tensors(1));
    await cache.put(keys[1], tensors(2));
    await rename(await pathOf(keys[1]), await pathOf(keys[0]));
    await expect(cache.get(keys[0])).rejects.toThrow(/expected features of/);
    await cache.put(keys[0], tensors(1));
    await appendFile(await pathOf(keys[0]), 'x');
    await expect(cache.get(keys[0])).rejects.toThrow(/bytes follow the last tensor/);
  });

  it('refuses keys that are no keys', async () => {
    for (const key of ['', '..', '../../etc/passwd', keys[0].toUpperCase(), `${keys[0]}0`]) {
      await expect(cache.get(key)).rejects.toThrow(FeatureKeyError);
      await expect(cache.put(key, tensors(1))).rejects.toThrow(FeatureKeyError);
    }
    expect(await readdir(folder)).toEqual([]);
  });

  it('lists sizes and prunes what was not used for the longest time', async () => {
    for (const [i, key] of keys.entries()) {
      await cache.put(key, tensors(i, 1000));
      const time = new Date(Date.UTC(2020, 0, i + 1));
      await utimes(await pathOf(key), time, time);
    }
    await cache.get(keys[0]);
    const entries = await cache.list();
    expect(entries.map(({ key }) => key)).toEqual([keys[1], keys[2], keys[0]]);
    const size = entries[0].sizeBytes;
    expect(size).toBe((await readFile(entries[0].path)).byteLength);
    // What a killed process left, and what is not ours.
    const left = join(dirname(entries[2].path), `.dualreal-00000000-1-${'0'.repeat(16)}.tmp`);
    await writeFile(left, 'half');
    await utimes(left, 0, 0);
    await writeFile(join(dirname(entries[2].path), 'readme.txt'), 'mine');
    expect((await cache.prune(3 * size)).removed).toEqual([]);
    const report = await cache.prune(2 * size - 1);
    expect(report.removed.map(({ key }) => key)).toEqual([keys[1], keys[2]]);
    expect(report).toMatchObject({ freedBytes: 2 * size, keptBytes: size });
    expect((await cache.list()).map(({ key }) => key)).toEqual([keys[0]]);
    expect(await cache.prune(0)).toMatchObject({ freedBytes: size, keptBytes: 0 });
    expect(await readdir(dirname(entries[2].path))).toEqual(['readme.txt']);
  });

  it('many puts of one key at once leave one whole entry', async () => {
    await Promise.all(Array.from({ length: 8 }, (_, i) => cache.put(keys[0], tensors(i, 5000))));
    const { data } = (await cache.get(keys[0]))!.tensors.get('mean')!;
    expect(new Set(data as Float32Array).size).toBe(1);
    expect(await readdir(join(cache.folder, keys[0].slice(0, 2)))).toHaveLength(1);
  });
});

describe('hashFile', () => {
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

  it('hashes contents, and notices every change', async () => {
    const path = join(folder, 'file');
    await writeFile(path, 'one');
    expect(await hashFile(path)).toBe(sha256('one'));
    await writeFile(path, 'two');
    expect(await hashFile(path)).toBe(sha256('two'));
    const large = 'x'.repeat(3_000_001);
    await writeFile(path, large);
    expect(await Promise.all([hashFile(path), hashFile(path)])).toEqual([sha256(large), sha256(large)]);
  });

  it.runIf(process.platform === 'linux')('reads an unchanged file once', async () => {
    const path = join(folder, 'file');
    await writeFile(path, 'x'.repeat(8_000_000));
    const bytesRead = async () => Number(/rchar: (\d+)/.exec(await readFile('/proc/self/io', 'utf8'))![1]);
    const start = await bytesRead();
    const first = await hashFile(path);
    expect((await bytesRead()) - start).toBeGreaterThan(7_900_000);
    const between = await bytesRead();
    for (let round = 0; round < 5; round++) expect(await hashFile(path)).toBe(first);
    expect((await bytesRead()) - between).toBeLessThan(4_000_000);
  });

  it('fails for what is not there, and can be asked again', async () => {
    const path = join(folder, 'later');
    await expect(hashFile(path)).rejects.toThrow('ENOENT');
    await writeFile(path, 'now');
    await chmod(path, 0o600);
    expect(await hashFile(path)).toBe(sha256('now'));
  });
});
