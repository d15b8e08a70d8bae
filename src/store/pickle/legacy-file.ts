import type { FileHandle } from 'node:fs/promises';
import { DTYPE_SIZE_BYTES } from '../../tensor/dtype.ts';
import { FileFormatError } from '../../tensor/errors.ts';
import { readFully } from '../../tensor/file-range.ts';
import { quoteBriefly } from '../../tensor/strict-json.ts';
import { interpretPickle } from './interpreter.ts';
import { MAX_PICKLE_BYTES, type PthStructure } from './pth-structure.ts';
import { torchWorld } from './torch-world.ts';
import { describeValue, isKind, type PickleStorage, type PickleValue } from './value.ts';

/** The pickled integer 0x1950a86a20f9469cfc6c that starts every file of this format. */
const MAGIC = Uint8Array.from(Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex'));
const FORMAT_VERSION = 1001;
const LENGTH_BYTES = 8;

export function isLegacyFile(start: Uint8Array): boolean {
  return Buffer.from(start.subarray(0, MAGIC.length)).equals(MAGIC);
}

/**
 * The format of torch before 1.6 (RAFT's published weights are in it): pickles of a magic number, a version,
 * facts about the machine, the object and the storage keys, then each storage as its length and its elements.
 */
export async function readLegacyFile(
  file: FileHandle,
  sizeBytes: number,
  path: string,
): Promise<PthStructure> {
  const head = new Uint8Array(Math.min(sizeBytes, MAX_PICKLE_BYTES));
  await readFully(file, head, 0, path);
  const storages = new Map<string, PickleStorage>();
  const world = torchWorld((storage) => storages.set(storage.key, storage));
  let position = MAGIC.length;
  const nextPickle = (): PickleValue => {
    const { value, end } = interpretPickle(head, world, path, position);
    position = end;
    return value;
  };
  checkValue(nextPickle() === FORMAT_VERSION, `format version ${FORMAT_VERSION}`, path);
  const machine = nextPickle();
  const isLittleEndian = isKind(machine, 'dict') && machine.items.get('little_endian') === true;
  checkValue(isLittleEndian, 'a file written by a little-endian machine', path);
  const root = nextPickle();
  const keys = nextPickle();
  const listed = Array.isArray(keys) ? keys : [];
  const agrees = listed.length === storages.size && new Set(listed).size === listed.length;
  checkValue(
    agrees && listed.every((key) => typeof key === 'string' && storages.has(key)),
    `the keys of ${storages.size} storages`,
    path,
    Array.isArray(keys) ? `${listed.length} keys that differ` : describeValue(keys),
  );
  const storageOffsets = await locateStorages(file, listed as string[], storages, position, sizeBytes, path);
  return {
    root,
    storageOffsets,
    readStorage: async (handle, key) => {
      const bytes = new Uint8Array(byteLengthOf(storages.get(key)!));
      await readFully(handle, bytes, storageOffsets.get(key)!, `${path}: storage ${quoteBriefly(key)}`);
      return bytes;
    },
  };
}

async function locateStorages(
  file: FileHandle,
  keys: readonly string[],
  storages: ReadonlyMap<string, PickleStorage>,
  start: number,
  sizeBytes: number,
  path: string,
): Promise<Map<string, number>> {
  const offsets = new Map<string, number>();
  const prefix = new Uint8Array(LENGTH_BYTES);
  let position = start;
  for (const key of keys) {
    const storage = storages.get(key)!;
    const where = `${path}: storage ${quoteBriefly(key)}`;
    const rest = sizeBytes - position - LENGTH_BYTES;
    if (byteLengthOf(storage) > rest) {
      throw new FileFormatError({
        where,
        expected: `${byteLengthOf(storage)} bytes`,
        got: `${Math.max(0, rest)} before the file ends`,
        hint: 'the file is cut off: get it again',
      });
    }
    await readFully(file, prefix, position, where);
    const length = new DataView(prefix.buffer).getBigInt64(0, true);
    checkValue(length === BigInt(storage.length), `${storage.length} elements`, where, `${length}`);
    offsets.set(key, position + LENGTH_BYTES);
    position += LENGTH_BYTES + byteLengthOf(storage);
  }
  checkValue(position === sizeBytes, `an end at byte ${position}`, path, `${sizeBytes}`);
  return offsets;
}

function byteLengthOf({ length, dtype }: PickleStorage): number {
  return length * DTYPE_SIZE_BYTES[dtype];
}

function checkValue(holds: boolean, expected: string, where: string, got = 'something else'): void {
  if (!holds) throw new FileFormatError({ where, expected, got });
}
