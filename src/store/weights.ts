import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { fileVersion } from '../runtime/weight-table.ts';
import { FileFormatError } from '../tensor/errors.ts';
import { readFully, withFile } from '../tensor/file-range.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import { readSafetensorsHeader, readTensor, type SafetensorsEntry } from '../tensor/safetensors.ts';
import { quoteBriefly } from '../tensor/strict-json.ts';
import {
  findWeightFiles,
  IncompleteFolderError,
  isFile,
  isFolder,
  listNames,
  WEIGHT_BASE_NAMES,
  type WeightIndex,
} from './component-files.ts';
import { openPth, type PthTensor } from './pickle/pth.ts';

/** Where one weight lies, dense and row-major: an engine can map it from there. */
export interface WeightEntry extends SafetensorsEntry {
  /** Real path, with no symbolic link in it. */
  readonly file: string;
  /** Of the file when its header was read; an engine refuses the file if it has changed since. */
  readonly version: string;
}

/** The weights of one component, read in place. */
export interface WeightFiles {
  /** The folder or file that was asked for. */
  readonly path: string;
  /** Real paths. */
  readonly files: readonly string[];
  readonly entries: ReadonlyMap<string, WeightEntry>;
  /** Reads one tensor. */
  read(name: string): Promise<HostTensor>;
  /**
   * SHA-256 (hex) over the tensors in the order of their names, each as the JSON line [name, dtype, shape]
   * and its bytes. It does not depend on how the tensors are spread over files. Reads everything once.
   */
  hash(): Promise<string>;
}

/** One file with its tensors. */
interface Shard {
  readonly name: string;
  readonly file: string;
  readonly version: string;
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  read(name: string): Promise<HostTensor>;
}

const HASH_PIECE_BYTES = 1 << 22;

/**
 * Opens the weights of a component: a folder in the diffusers or transformers layout (a single file, or
 * shards with an index), or one .safetensors, .bin or .pth file. Headers are read and validated, data is
 * not. Throws {@link IncompleteFolderError} listing everything that is missing or does not fit together.
 */
export async function openWeights(
  path: string,
  baseNames: readonly string[] = WEIGHT_BASE_NAMES,
): Promise<WeightFiles> {
  if (await isFile(path)) return combine(path, [await openShard(path, path)]);
  if (!(await isFolder(path))) {
    throw new IncompleteFolderError({ where: path, expected: 'a folder or file of weights', got: 'nothing' });
  }
  const found = await findWeightFiles(path, baseNames);
  if (!found) {
    throw new IncompleteFolderError({
      where: path,
      expected: `weights named ${baseNames.join(' or ')} (.safetensors, .safetensors.index.json, .bin)`,
      got: 'none',
    });
  }
  const shards: Shard[] = [];
  const missing: string[] = [];
  for (const name of found.fileNames) {
    const file = join(path, name);
    if (await isFile(file)) shards.push(await openShard(name, file));
    else missing.push(name);
  }
  if (found.index) checkIndex(found.index, shards, missing);
  return combine(path, shards);
}

async function openShard(name: string, path: string): Promise<Shard> {
  // The blobs of the Hugging Face cache have no extension, so the linked name decides.
  const extension = extname(path);
  const file = await realpath(path);
  const version = fileVersion(file);
  if (extension === '.safetensors') {
    const header = await readSafetensorsHeader(file);
    return { name, file, version, entries: header.entries, read: (tensor) => readTensor(header, tensor) };
  }
  if (extension !== '.bin' && extension !== '.pth') {
    throw new FileFormatError({
      where: path,
      expected: 'a .safetensors, .bin or .pth file',
      got: quoteBriefly(extension),
    });
  }
  const pth = await openPth(file);
  const entries = new Map<string, SafetensorsEntry>();
  for (const [tensor, facts] of pth.tensors) {
    if (hasPlace(facts)) entries.set(tensor, facts);
  }
  if (entries.size < pth.tensors.size) {
    throw new FileFormatError({
      where: path,
      expected: 'weights that can be used in place',
      got: `strided tensors ${listNames([...pth.tensors.keys()].filter((tensor) => !entries.has(tensor)))}`,
      hint: 'convert the file to safetensors',
    });
  }
  return { name, file, version, entries, read: (tensor) => pth.read(tensor) };
}

function hasPlace(tensor: PthTensor): tensor is PthTensor & { byteOffset: number } {
  return tensor.byteOffset !== undefined;
}

/** Compares index and shards both ways, and gathers every difference into one error. */
function checkIndex(index: WeightIndex, shards: readonly Shard[], missing: readonly string[]): void {
  const problems: string[] = [];
  if (missing.length > 0) problems.push(`missing files: ${listNames(missing)}`);
  const holders = new Map<string, string[]>();
  let totalSizeBytes = 0;
  for (const { name: file, entries } of shards) {
    for (const [name, { byteLength }] of entries) {
      holders.set(name, [...(holders.get(name) ?? []), file]);
      totalSizeBytes += byteLength;
    }
  }
  const absent: string[] = [];
  for (const [name, file] of index.places) {
    if (!missing.includes(file) && !holders.get(name)?.includes(file)) absent.push(`${name} (${file})`);
  }
  if (absent.length > 0)
    problems.push(`tensors that are not in the file the index says: ${listNames(absent)}`);
  const twice = [...holders]
    .filter(([, files]) => files.length > 1)
    .map(([name, files]) => `${name} (${files.join(' + ')})`);
  if (twice.length > 0) problems.push(`tensors in two files: ${listNames(twice)}`);
  const extra = [...holders.keys()].filter((name) => !index.places.has(name));
  if (extra.length > 0) problems.push(`tensors that the index does not list: ${listNames(extra)}`);
  if (
    problems.length === 0 &&
    index.totalSizeBytes !== undefined &&
    index.totalSizeBytes !== totalSizeBytes
  ) {
    problems.push(`${totalSizeBytes} bytes where the index says ${index.totalSizeBytes}`);
  }
  if (problems.length === 0) return;
  throw new IncompleteFolderError({
    where: index.path,
    expected: 'shards that hold what the index lists',
    got: problems.join('; '),
    hint: 'get the folder again: its files are not of one version, or some are missing',
  });
}

function combine(path: string, shards: readonly Shard[]): WeightFiles {
  const entries = new Map<string, WeightEntry>();
  const owners = new Map<string, Shard>();
  for (const shard of shards) {
    for (const [name, { dtype, shape, byteOffset, byteLength }] of shard.entries) {
      const { file, version } = shard;
      entries.set(name, { file, version, dtype, shape, byteOffset, byteLength });
      owners.set(name, shard);
    }
  }
  let hash: Promise<string> | undefined;
  return {
    path,
    files: shards.map(({ file }) => file),
    entries,
    read: async (name) => {
      const shard = owners.get(name);
      if (shard) return shard.read(name);
      throw new FileFormatError({
        where: `${path}: tensor ${quoteBriefly(name)}`,
        expected: 'to be among the weights',
        got: 'nothing',
      });
    },
    hash: () => {
      hash ??= hashOf(entries);
      return hash;
    },
  };
}

async function hashOf(entries: ReadonlyMap<string, WeightEntry>): Promise<string> {
  const hash = createHash('sha256');
  const piece = new Uint8Array(HASH_PIECE_BYTES);
  const sorted = [...entries].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [name, { file, dtype, shape, byteOffset, byteLength }] of sorted) {
    hash.update(`${JSON.stringify([name, dtype, shape])}\n`);
    await withFile(file, async (handle) => {
      for (let done = 0; done < byteLength; done += piece.byteLength) {
        const part = piece.subarray(0, Math.min(piece.byteLength, byteLength - done));
        await readFully(handle, part, byteOffset + done, `${file}: tensor ${quoteBriefly(name)}`);
        hash.update(part);
      }
    });
  }
  return hash.digest('hex');
}
