import { createHash } from 'node:crypto';
import { mkdir, readdir, stat, unlink, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { removeStaleTemporaries } from '../tensor/atomic-file.ts';
import { DualrealError, FileFormatError } from '../tensor/errors.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import { objectEntries, parseStrictJson } from '../tensor/strict-json.ts';
import { canonicalJson, encodeJson, type JsonObject } from './plain-json.ts';
import { readSealedFile, writeSealedFile } from './sealed-file.ts';

export { hashFile } from './file-hash.ts';

/** Encoded features of one thing (a clip, a caption, an image). */
export interface CachedFeatures {
  readonly tensors: ReadonlyMap<string, HostTensor>;
  readonly metadata: JsonObject;
}

export interface CacheEntry {
  readonly key: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly lastUsed: Date;
}

export interface PruneReport {
  readonly removed: readonly CacheEntry[];
  readonly freedBytes: number;
  readonly keptBytes: number;
}

/** A key that did not come from {@link featureKey}. */
export class FeatureKeyError extends DualrealError {}

const KEY = /^[0-9a-f]{64}$/;
const SHELF = /^[0-9a-f]{2}$/;
const EXTENSION = '.safetensors';

/**
 * Key of what depends on `parts` and on nothing else: SHA-256 of their canonical JSON. Put in whatever
 * changes the features (content hash, model hash, size, frames, options), never a path or a time.
 */
export function featureKey(parts: object): string {
  return createHash('sha256').update(canonicalJson(parts, 'feature key')).digest('hex');
}

/** What was noted when the features were computed; none in the entries of versions that did not keep it. */
function notesOf({ notes }: JsonObject): readonly string[] {
  return Array.isArray(notes) ? notes.filter((note) => typeof note === 'string') : [];
}

/** A folder of encoded features, one sealed safetensors file for each key; may be shared by processes. */
export class FeatureCache {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** The features of a key, undefined where there are none; a damaged file is a {@link FileFormatError}. */
  async get(key: string): Promise<CachedFeatures | undefined> {
    const path = this.pathOf(key);
    try {
      const { tensors, metadata } = await readSealedFile(path);
      if (metadata.key !== key) {
        throw new FileFormatError({ where: path, expected: `features of ${key}`, got: `${metadata.key}` });
      }
      const own = parseStrictJson(new TextEncoder().encode(metadata.metadata), `${path}: metadata`);
      objectEntries(own, `${path}: metadata`);
      await markUsed(path);
      return { tensors, metadata: own as JsonObject };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  async put(key: string, tensors: ReadonlyMap<string, HostTensor>, metadata: JsonObject = {}): Promise<void> {
    const path = this.pathOf(key);
    await mkdir(dirname(path), { recursive: true });
    await writeSealedFile(path, tensors, { key, metadata: encodeJson(metadata, 'feature metadata') });
  }

  /**
   * The features of a key, computed and stored where there are none. What `compute` notes about them (a prompt
   * that was cut off, say) is stored with them and told whenever they are used. Features that are damaged are reported
   * and computed again.
   */
  async getOrCompute(
    key: string,
    compute: (note: (message: string) => void) => Promise<ReadonlyMap<string, HostTensor>>,
    onNotice: (message: string) => void,
  ): Promise<ReadonlyMap<string, HostTensor>> {
    try {
      const found = await this.get(key);
      if (found) {
        for (const note of notesOf(found.metadata)) onNotice(note);
        return found.tensors;
      }
    } catch (error) {
      if (!(error instanceof FileFormatError)) throw error;
      onNotice(`cached features are damaged and are computed again: ${error.message}`);
    }
    const notes: string[] = [];
    const computed = await compute((message) => notes.push(message));
    await this.put(key, computed, notes.length > 0 ? { notes } : {});
    for (const note of notes) onNotice(note);
    return computed;
  }

  /** All entries, the least recently used first. */
  async list(): Promise<CacheEntry[]> {
    const entries: CacheEntry[] = [];
    for (const shelf of await shelvesOf(this.folder)) {
      for (const name of await readdir(join(this.folder, shelf))) {
        const key = name.slice(0, -EXTENSION.length);
        if (!name.endsWith(EXTENSION) || !KEY.test(key)) continue;
        const path = join(this.folder, shelf, name);
        const facts = await statOrNothing(path);
        if (facts) entries.push({ key, path, sizeBytes: facts.size, lastUsed: facts.mtime });
      }
    }
    return entries.sort((a, b) => a.lastUsed.getTime() - b.lastUsed.getTime() || (a.key < b.key ? -1 : 1));
  }

  /** Removes the least recently used entries until the rest takes at most `maxBytes`. */
  async prune(maxBytes: number): Promise<PruneReport> {
    for (const shelf of await shelvesOf(this.folder)) await removeStaleTemporaries(join(this.folder, shelf));
    const entries = await this.list();
    let keptBytes = entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const total = keptBytes;
    const removed: CacheEntry[] = [];
    for (const entry of entries) {
      if (keptBytes <= maxBytes) break;
      await unlink(entry.path).catch(ignoreMissing);
      keptBytes -= entry.sizeBytes;
      removed.push(entry);
    }
    return { removed, freedBytes: total - keptBytes, keptBytes };
  }

  private pathOf(key: string): string {
    if (!KEY.test(key)) {
      throw new FeatureKeyError({ where: 'feature cache', expected: '64 hexadecimal digits', got: key });
    }
    return join(this.folder, key.slice(0, 2), key + EXTENSION);
  }
}

/** The time of last use is the file's modification time: access times are switched off on many disks. */
async function markUsed(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now).catch((error: NodeJS.ErrnoException) => {
    // Another process pruned it just now, or the cache is on a read-only disk.
    if (error.code !== 'ENOENT' && error.code !== 'EROFS' && error.code !== 'EPERM') throw error;
  });
}

async function shelvesOf(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    ignoreMissing(error);
    return [];
  });
  return names.filter((name) => SHELF.test(name)).sort();
}

async function statOrNothing(path: string) {
  return stat(path).catch((error: unknown) => {
    ignoreMissing(error);
    return undefined;
  });
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}
