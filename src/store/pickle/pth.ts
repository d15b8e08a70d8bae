import type { FileHandle } from 'node:fs/promises';
import { DTYPE_SIZE_BYTES, type DType } from '../../tensor/dtype.ts';
import { FileFormatError } from '../../tensor/errors.ts';
import { fileSizeOf, readFully, withFile } from '../../tensor/file-range.ts';
import type { HostTensor } from '../../tensor/host-tensor.ts';
import { quoteBriefly } from '../../tensor/strict-json.ts';
import { isLegacyFile, readLegacyFile } from './legacy-file.ts';
import type { PthStructure } from './pth-structure.ts';
import { denseBytesOf, gatherTensor, isRowMajor } from './strided.ts';
import { isKind, type PickleTensor, type PickleValue } from './value.ts';
import { isZipFile, readZipArchive } from './zip-archive.ts';

/** A tensor of a .pth file. */
export interface PthTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly byteLength: number;
  /** Where its elements lie in the file, row-major; absent where they are strided. */
  readonly byteOffset?: number;
}

/** An open .pth file: its names are known, its data is read when asked for. */
export interface PthFile {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, PthTensor>;
  /** Entries of the same dict that are not tensors. */
  readonly otherNames: readonly string[];
  read(name: string): Promise<HostTensor>;
  readAll(): Promise<Map<string, HostTensor>>;
}

const MAGIC_BYTES = 16;
// A stride of 0 can unfold few bytes to any size; honest files stay far below.
const MAX_UNFOLDED_BYTES = 64 << 20;

/**
 * Opens a file that torch.save wrote (zip format, or the one before torch 1.6) without running its pickle.
 * The tensors are those of its dict, or of `state_dict` in it. Anything but tensors, dicts, lists and plain
 * values makes the whole file refused with a {@link FileFormatError} that names the reason.
 */
export async function openPth(path: string): Promise<PthFile> {
  const { structure, sizeBytes } = await withFile(path, async (file) => {
    const size = await fileSizeOf(file, path);
    return { structure: await readStructure(file, size, path), sizeBytes: size };
  });
  const { found, otherNames } = stateDictOf(structure.root, path);
  checkUnfolding(found, sizeBytes, path);
  const tensors = new Map<string, PthTensor>();
  for (const [name, tensor] of found) tensors.set(name, describe(tensor, structure));
  const open = <T>(use: (file: FileHandle) => Promise<T>) => withFile(path, use);
  return {
    path,
    tensors,
    otherNames,
    read: (name) => {
      const tensor = found.get(name);
      if (!tensor) {
        const where = `${path}: tensor ${quoteBriefly(name)}`;
        throw new FileFormatError({ where, expected: 'to be in the file', got: 'nothing' });
      }
      return open(async (file) => {
        return gatherTensor(tensor, await structure.readStorage(file, tensor.storage.key), true);
      });
    },
    readAll: () => open((file) => readAll(file, found, structure)),
  };
}

/** All tensors of a .pth file, see {@link openPth}. */
export async function readPth(path: string): Promise<Map<string, HostTensor>> {
  return (await openPth(path)).readAll();
}

async function readStructure(file: FileHandle, sizeBytes: number, path: string): Promise<PthStructure> {
  const start = new Uint8Array(Math.min(MAGIC_BYTES, sizeBytes));
  await readFully(file, start, 0, path);
  if (isZipFile(start)) return readZipArchive(file, sizeBytes, path);
  if (isLegacyFile(start)) return readLegacyFile(file, sizeBytes, path);
  throw new FileFormatError({
    where: path,
    expected: 'a file written by torch.save',
    got: `one that starts with ${Buffer.from(start).toString('hex') || 'nothing'}`,
  });
}

function stateDictOf(
  root: PickleValue,
  path: string,
): { found: Map<string, PickleTensor>; otherNames: string[] } {
  let dict = root;
  if (isKind(root, 'dict') && ![...root.items.values()].some((value) => isKind(value, 'tensor'))) {
    dict = root.items.get('state_dict') ?? root;
  }
  const found = new Map<string, PickleTensor>();
  const otherNames: string[] = [];
  for (const [name, value] of isKind(dict, 'dict') ? dict.items : []) {
    if (!isKind(value, 'tensor')) otherNames.push(String(name));
    else if (typeof name === 'string') found.set(name, value);
    else throw new FileFormatError({ where: path, expected: 'names that are strings', got: String(name) });
  }
  if (found.size === 0) {
    throw new FileFormatError({
      where: path,
      expected: 'a dict of tensors, or one under state_dict',
      got: otherNames.length > 0 ? `a dict of ${quoteBriefly(otherNames)}` : 'no tensor',
    });
  }
  return { found, otherNames };
}

function checkUnfolding(tensors: ReadonlyMap<string, PickleTensor>, sizeBytes: number, path: string): void {
  let total = 0;
  for (const [name, tensor] of tensors) {
    const dense = denseBytesOf(tensor);
    total += dense;
    const stored = tensor.storage.length * DTYPE_SIZE_BYTES[tensor.storage.dtype];
    // Tied weights count several times, so the sum may be a few times the file.
    if (dense <= Math.max(stored, MAX_UNFOLDED_BYTES) && total <= 4 * (sizeBytes + MAX_UNFOLDED_BYTES))
      continue;
    throw new FileFormatError({
      where: `${path}: tensor ${quoteBriefly(name)}`,
      expected: 'tensors that do not unfold to many times the file',
      got: `${dense} bytes from ${stored}, ${total} in all from a file of ${sizeBytes}`,
    });
  }
}

function describe(tensor: PickleTensor, { storageOffsets }: PthStructure): PthTensor {
  const { storage, shape, offset } = tensor;
  const facts = { dtype: storage.dtype, shape, byteLength: denseBytesOf(tensor) };
  const start = storageOffsets.get(storage.key);
  if (start === undefined || !isRowMajor(tensor)) return facts;
  return { ...facts, byteOffset: start + offset * DTYPE_SIZE_BYTES[storage.dtype] };
}

/** Reads each storage once, however many tensors look at it; results keep the order of the names. */
async function readAll(
  file: FileHandle,
  tensors: ReadonlyMap<string, PickleTensor>,
  structure: PthStructure,
): Promise<Map<string, HostTensor>> {
  const users = new Map<string, string[]>();
  for (const [name, { storage }] of tensors) {
    const names = users.get(storage.key);
    if (names) names.push(name);
    else users.set(storage.key, [name]);
  }
  const read = new Map<string, HostTensor>();
  for (const [key, names] of users) {
    const bytes = await structure.readStorage(file, key);
    // Tied weights become tensors of their own: changing one must not change the other.
    const mayKeep = names.length === 1;
    for (const name of names) read.set(name, gatherTensor(tensors.get(name)!, bytes, mayKeep));
  }
  return new Map(Array.from(tensors.keys(), (name) => [name, read.get(name)!]));
}
