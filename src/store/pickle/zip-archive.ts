import type { FileHandle } from 'node:fs/promises';
import { DTYPE_SIZE_BYTES } from '../../tensor/dtype.ts';
import { FileFormatError } from '../../tensor/errors.ts';
import { quoteBriefly } from '../../tensor/strict-json.ts';
import { interpretPickle } from './interpreter.ts';
import { MAX_PICKLE_BYTES, type PthStructure } from './pth-structure.ts';
import { torchWorld } from './torch-world.ts';
import type { PickleStorage } from './value.ts';
import { readZip, readZipEntry, type ZipEntry } from './zip-reader.ts';

// Version 3 is torch 1.6 and later; none changed the layout of plain tensors.
const VERSIONS = /^(?:[1-9]|10)\n?$/;

export function isZipFile(start: Uint8Array): boolean {
  return Buffer.from(start.subarray(0, 4)).equals(Buffer.from('PK\x03\x04', 'latin1'));
}

/** The zip format of torch ≥ 1.6: NAME/data.pkl, NAME/data/KEY for each storage, NAME/version, NAME/byteorder. */
export async function readZipArchive(
  file: FileHandle,
  sizeBytes: number,
  path: string,
): Promise<PthStructure> {
  const entries = await readZip(file, sizeBytes, path);
  const folder = folderOf(entries, path);
  await checkText(file, entries.get(`${folder}/version`), VERSIONS, path);
  await checkText(file, entries.get(`${folder}/byteorder`), /^little$/, path);
  if (entries.has(`${folder}/constants.pkl`)) {
    throw new FileFormatError({ where: path, expected: 'weights', got: 'a TorchScript program' });
  }
  const storages = new Map<string, ZipEntry>();
  const onStorage = (storage: PickleStorage, where: string) => {
    storages.set(storage.key, storageEntry(entries.get(`${folder}/data/${storage.key}`), storage, where));
  };
  const pickle = entries.get(`${folder}/data.pkl`)!;
  checkSize(pickle, MAX_PICKLE_BYTES, path);
  const bytes = await readZipEntry(file, pickle, path);
  const { value, end } = interpretPickle(bytes, torchWorld(onStorage), `${path}: ${pickle.name}`);
  if (end !== bytes.byteLength) {
    throw new FileFormatError({
      where: `${path}: ${pickle.name}`,
      expected: `an end at byte ${bytes.byteLength}`,
      got: `${end}`,
    });
  }
  return {
    root: value,
    storageOffsets: new Map(Array.from(storages, ([key, { byteOffset }]) => [key, byteOffset])),
    readStorage: (handle, key) => readZipEntry(handle, storages.get(key)!, path),
  };
}

function folderOf(entries: ReadonlyMap<string, ZipEntry>, path: string): string {
  const pickles = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickles.length !== 1) {
    throw new FileFormatError({
      where: path,
      expected: 'one data.pkl in a folder of the archive',
      got: pickles.length === 0 ? `none among ${quoteBriefly([...entries.keys()])}` : pickles.join(', '),
    });
  }
  return pickles[0].slice(0, -'/data.pkl'.length);
}

async function checkText(
  file: FileHandle,
  entry: ZipEntry | undefined,
  pattern: RegExp,
  path: string,
): Promise<void> {
  if (!entry) return;
  checkSize(entry, 64, path);
  const text = Buffer.from(await readZipEntry(file, entry, path)).toString('latin1');
  if (pattern.test(text)) return;
  throw new FileFormatError({
    where: `${path}: ${entry.name}`,
    expected: `${pattern}`,
    got: quoteBriefly(text),
  });
}

function checkSize(entry: ZipEntry, limit: number, path: string): void {
  if (entry.byteLength <= limit) return;
  const where = `${path}: ${entry.name}`;
  throw new FileFormatError({ where, expected: `at most ${limit} bytes`, got: `${entry.byteLength}` });
}

function storageEntry(entry: ZipEntry | undefined, storage: PickleStorage, where: string): ZipEntry {
  const expected = storage.length * DTYPE_SIZE_BYTES[storage.dtype];
  if (entry?.byteLength === expected) return entry;
  throw new FileFormatError({
    where: `${where}: storage ${quoteBriefly(storage.key)}`,
    expected: `an entry of ${expected} bytes (${storage.length} ${storage.dtype})`,
    got: entry ? `${entry.byteLength} bytes` : 'none',
  });
}
