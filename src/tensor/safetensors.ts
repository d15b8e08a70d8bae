import type { FileHandle } from 'node:fs/promises';
import { writeFileAtomic } from './atomic-file.ts';
import { allocate, bytesOf, viewBytes } from './dtype.ts';
import { FileFormatError, ShapeError } from './errors.ts';
import { fileSizeOf, readFully, withFile } from './file-range.ts';
import type { HostTensor } from './host-tensor.ts';
import {
  MAX_HEADER_BYTES,
  PREFIX_BYTES,
  parseHeader,
  placeOf,
  readHeaderLength,
  type SafetensorsEntry,
  type SafetensorsHeader,
} from './safetensors-header.ts';
import { sizeOf } from './shape.ts';

export type { SafetensorsEntry, SafetensorsHeader } from './safetensors-header.ts';

/** A whole file in memory. */
export interface SafetensorsContents {
  readonly tensors: Map<string, HostTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Reads and validates the header of a safetensors file (format: huggingface/safetensors README) without
 * touching its data. Stricter than the reference reader: a key twice, an unknown field or NUL padding is
 * refused. Throws {@link FileFormatError} naming file and tensor.
 */
export async function readSafetensorsHeader(path: string): Promise<SafetensorsHeader> {
  return withFile(path, (file) => headerOf(file, path));
}

/** A whole file: all its tensors, in the order of their data, and its metadata. */
export async function readSafetensorsContents(path: string): Promise<SafetensorsContents> {
  return withFile(path, async (file) => {
    const { entries, metadata } = await headerOf(file, path);
    const tensors = new Map<string, HostTensor>();
    for (const [name, entry] of entries) tensors.set(name, await tensorOf(file, path, name, entry));
    return { tensors, metadata };
  });
}

/** All tensors of a file, in the order of their data. */
export async function readSafetensorsFile(path: string): Promise<Map<string, HostTensor>> {
  return (await readSafetensorsContents(path)).tensors;
}

/** One tensor of a file whose header is known; reads only its bytes. */
export async function readTensor(header: SafetensorsHeader, name: string): Promise<HostTensor> {
  const entry = header.entries.get(name);
  if (!entry) {
    throw new FileFormatError({
      where: placeOf(header.path, name),
      expected: 'to be in the file',
      got: 'nothing',
    });
  }
  return withFile(header.path, (file) => tensorOf(file, header.path, name, entry));
}

/**
 * A whole file held in memory. Tensors are views into `bytes` wherever their place is aligned, so that
 * nothing larger than the input is allocated.
 */
export function parseSafetensors(bytes: Uint8Array, path = 'safetensors'): SafetensorsContents {
  // A Buffer's slice() would alias instead of copy.
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = readHeaderLength(plain, plain.byteLength, path);
  const header = parseHeader(plain.subarray(PREFIX_BYTES, PREFIX_BYTES + length), plain.byteLength, path);
  const tensors = new Map<string, HostTensor>();
  for (const [name, { dtype, shape, byteOffset, byteLength }] of header.entries) {
    const data = viewBytes(dtype, plain.subarray(byteOffset, byteOffset + byteLength));
    tensors.set(name, { dtype, shape, data });
  }
  return { tensors, metadata: header.metadata };
}

/** A safetensors file as bytes: tensors in the order given, header padded with spaces to 8 bytes. */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, HostTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const header = encodeHeader(tensors, metadata);
  let position = header.byteLength;
  for (const tensor of tensors.values()) position += tensor.data.byteLength;
  const out = new Uint8Array(position);
  out.set(header);
  position = header.byteLength;
  for (const tensor of tensors.values()) {
    out.set(bytesOf(tensor.data), position);
    position += tensor.data.byteLength;
  }
  return out;
}

/** Writes a safetensors file whole or not at all, without a second copy of the tensors in memory. */
export async function writeSafetensorsFile(
  path: string,
  tensors: ReadonlyMap<string, HostTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const header = encodeHeader(tensors, metadata);
  await writeFileAtomic(path, [header, ...Array.from(tensors.values(), ({ data }) => bytesOf(data))]);
}

/** Length prefix and JSON. Written by hand, because an object would reorder names that look like numbers. */
function encodeHeader(
  tensors: ReadonlyMap<string, HostTensor>,
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const fields: string[] = [];
  if (Object.keys(metadata).length > 0) fields.push(`"__metadata__":${JSON.stringify(metadata)}`);
  let position = 0;
  for (const [name, { dtype, shape, data }] of tensors) {
    if (name === '__metadata__' || /\p{Surrogate}/u.test(name)) {
      throw new FileFormatError({
        where: `tensor ${name}`,
        expected: 'another name',
        got: JSON.stringify(name),
      });
    }
    if (data.length !== sizeOf(shape)) {
      throw new ShapeError({
        where: `tensor ${name}`,
        expected: `${sizeOf(shape)} elements for its shape`,
        got: `${data.length}`,
      });
    }
    const end = position + data.byteLength;
    const facts = { dtype: dtype.toUpperCase(), shape, data_offsets: [position, end] };
    fields.push(`${JSON.stringify(name)}:${JSON.stringify(facts)}`);
    position = end;
  }
  const json = new TextEncoder().encode(`{${fields.join(',')}}`);
  const paddedBytes = Math.ceil(json.byteLength / 8) * 8;
  if (paddedBytes > MAX_HEADER_BYTES) {
    throw new FileFormatError({
      where: 'safetensors header',
      expected: `at most ${MAX_HEADER_BYTES} bytes`,
      got: `${paddedBytes}`,
    });
  }
  const out = new Uint8Array(PREFIX_BYTES + paddedBytes).fill(0x20);
  new DataView(out.buffer).setBigUint64(0, BigInt(paddedBytes), true);
  out.set(json, PREFIX_BYTES);
  return out;
}

async function headerOf(file: FileHandle, path: string): Promise<SafetensorsHeader> {
  const sizeBytes = await fileSizeOf(file, path);
  const prefix = new Uint8Array(Math.min(PREFIX_BYTES, sizeBytes));
  await readFully(file, prefix, 0, path);
  const json = new Uint8Array(readHeaderLength(prefix, sizeBytes, path));
  await readFully(file, json, PREFIX_BYTES, path);
  return parseHeader(json, sizeBytes, path);
}

async function tensorOf(
  file: FileHandle,
  path: string,
  name: string,
  { dtype, shape, byteOffset }: SafetensorsEntry,
): Promise<HostTensor> {
  const data = allocate(dtype, sizeOf(shape));
  await readFully(file, bytesOf(data), byteOffset, placeOf(path, name));
  return { dtype, shape, data };
}
