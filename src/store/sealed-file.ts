import { createHash, type Hash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { bytesOf } from '../tensor/dtype.ts';
import { FileFormatError } from '../tensor/errors.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import {
  readSafetensorsContents,
  type SafetensorsContents,
  writeSafetensorsFile,
} from '../tensor/safetensors.ts';
import { canonicalJson } from './plain-json.ts';
import { reportingFullDisk } from './storage-error.ts';

const SEAL = 'sha256';
const PIECE_BYTES = 16 << 20;

/**
 * Writes a safetensors file, whole or not at all, whose metadata carries a SHA-256 over everything else
 * in it: metadata, names, dtypes, shapes and data.
 */
export async function writeSealedFile(
  path: string,
  tensors: ReadonlyMap<string, HostTensor>,
  metadata: Readonly<Record<string, string>>,
): Promise<void> {
  let sizeBytes = 0;
  for (const { data } of tensors.values()) sizeBytes += data.byteLength;
  const sealed = { ...metadata, [SEAL]: await sealOf(tensors, metadata) };
  await reportingFullDisk(path, sizeBytes, () => writeSafetensorsFile(path, tensors, sealed));
}

/** Reads such a file; any change to it since, a missing seal included, is a {@link FileFormatError}. */
export async function readSealedFile(path: string): Promise<SafetensorsContents> {
  const { tensors, metadata } = await readSafetensorsContents(path);
  const { [SEAL]: stored, ...rest } = metadata;
  if (stored === undefined) {
    throw new FileFormatError({ where: path, expected: 'a checksum in its metadata', got: 'none' });
  }
  const found = await sealOf(tensors, rest);
  if (found !== stored) {
    throw new FileFormatError({
      where: path,
      expected: `contents with the checksum ${stored.slice(0, 12)}…`,
      got: `${found.slice(0, 12)}…`,
      hint: 'the file is damaged: some of its bytes changed after it was written',
    });
  }
  return { tensors, metadata: rest };
}

/** Independent of the order of tensors and fields. Lets other work run between pieces. */
async function sealOf(
  tensors: ReadonlyMap<string, HostTensor>,
  metadata: Readonly<Record<string, string>>,
): Promise<string> {
  const hash = createHash('sha256').update(`${canonicalJson(metadata, 'metadata')}\n`);
  const names = [...tensors.keys()].sort();
  for (const name of names) {
    const { dtype, shape, data } = tensors.get(name)!;
    hash.update(`${JSON.stringify([name, dtype, shape])}\n`);
    await updateInPieces(hash, bytesOf(data));
  }
  return hash.digest('hex');
}

async function updateInPieces(hash: Hash, bytes: Uint8Array): Promise<void> {
  for (let start = 0; start < bytes.byteLength; start += PIECE_BYTES) {
    hash.update(bytes.subarray(start, start + PIECE_BYTES));
    if (start + PIECE_BYTES < bytes.byteLength) await setImmediate();
  }
}
