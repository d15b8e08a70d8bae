import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { FileFormatError } from '../../tensor/errors.ts';
import { readFully } from '../../tensor/file-range.ts';
import { readDirectoryPlace, SIGNATURES } from './zip-end.ts';

/** An uncompressed entry. Its name is a label and is never used as a path. */
export interface ZipEntry {
  readonly name: string;
  readonly byteOffset: number;
  readonly byteLength: number;
  readonly crc32: number;
}

interface DirectoryEntry extends Omit<ZipEntry, 'byteOffset'> {
  readonly nameBytes: Uint8Array;
  readonly flags: number;
  readonly headerOffset: number;
}

export const LOCAL_HEADER_BYTES = 30;
export const DIRECTORY_HEADER_BYTES = 46;
const MAX_ENTRIES = 100_000;
const MAX_DIRECTORY_BYTES = 64_000_000;
const CRC_PIECE_BYTES = 1 << 28;

// Level hints, sizes after the data, UTF-8 names. Encryption, patches and masked headers are not among them.
const ALLOWED_FLAGS = 0x0002 | 0x0004 | 0x0008 | 0x0800;
const SIZES_AFTER_DATA = 0x0008;
const ZIP64_EXTRA = 0x0001;
const MAX_32 = 0xffffffff;

/**
 * Lists a zip file as torch.save writes it (PKWARE APPNOTE 6.3.10): every entry uncompressed, so that nothing
 * can unfold to more than the file; entries do not overlap; the local headers repeat the directory. Anything
 * else is a {@link FileFormatError}.
 */
export async function readZip(
  file: FileHandle,
  sizeBytes: number,
  path: string,
): Promise<Map<string, ZipEntry>> {
  const place = await readDirectoryPlace(file, sizeBytes, path);
  if (place.entryCount > MAX_ENTRIES || place.byteLength > MAX_DIRECTORY_BYTES) {
    throw new FileFormatError({
      where: path,
      expected: `at most ${MAX_ENTRIES} zip entries in a directory of ${MAX_DIRECTORY_BYTES} bytes`,
      got: `${place.entryCount} entries in ${place.byteLength} bytes`,
    });
  }
  const directory = new Uint8Array(place.byteLength);
  await readFully(file, directory, place.byteOffset, path);
  const listed = parseDirectory(directory, place.entryCount, path);
  listed.sort((a, b) => a.headerOffset - b.headerOffset);
  const entries = new Map<string, ZipEntry>();
  let position = 0;
  for (const entry of listed) {
    const byteOffset = await checkLocalHeader(file, entry, position, place.byteOffset, path);
    position = byteOffset + entry.byteLength;
    const { name, byteLength } = entry;
    entries.set(name, { name, byteOffset, byteLength, crc32: entry.crc32 });
  }
  return entries;
}

/** The bytes of an entry, compared with its checksum. */
export async function readZipEntry(file: FileHandle, entry: ZipEntry, path: string): Promise<Uint8Array> {
  const where = placeOf(path, entry.name);
  const bytes = new Uint8Array(entry.byteLength);
  await readFully(file, bytes, entry.byteOffset, where);
  const checksum = crc32Of([bytes]);
  if (checksum !== entry.crc32) {
    throw new FileFormatError({
      where,
      expected: `the checksum ${hex(entry.crc32)}`,
      got: hex(checksum),
      hint: 'the file is damaged: get it again',
    });
  }
  return bytes;
}

/** CRC-32 of pieces in order, of any length. */
export function crc32Of(pieces: Iterable<Uint8Array>): number {
  let checksum = 0;
  for (const piece of pieces) {
    for (let start = 0; start < piece.byteLength; start += CRC_PIECE_BYTES) {
      checksum = crc32(piece.subarray(start, start + CRC_PIECE_BYTES), checksum);
    }
  }
  return checksum;
}

function parseDirectory(bytes: Uint8Array, count: number, path: string): DirectoryEntry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: DirectoryEntry[] = [];
  const names = new Set<string>();
  let position = 0;
  for (let index = 0; index < count; index++) {
    const where = `${path}: zip entry ${index}`;
    const rest = bytes.byteLength - position;
    if (rest < DIRECTORY_HEADER_BYTES || view.getUint32(position, true) !== SIGNATURES.directory) {
      throw new FileFormatError({ where, expected: 'a directory entry', got: 'something else' });
    }
    const nameLength = view.getUint16(position + 28, true);
    const extraLength = view.getUint16(position + 30, true);
    const length = DIRECTORY_HEADER_BYTES + nameLength + extraLength + view.getUint16(position + 32, true);
    if (rest < length) {
      throw new FileFormatError({
        where,
        expected: `${length} bytes`,
        got: `${rest} before the directory ends`,
      });
    }
    const nameEnd = position + DIRECTORY_HEADER_BYTES + nameLength;
    const nameBytes = bytes.subarray(position + DIRECTORY_HEADER_BYTES, nameEnd);
    const name = decodeName(nameBytes, where);
    if (names.has(name)) {
      throw new FileFormatError({ where, expected: 'each name once', got: `${JSON.stringify(name)} twice` });
    }
    names.add(name);
    const fixed = new DataView(bytes.buffer, bytes.byteOffset + position, DIRECTORY_HEADER_BYTES);
    const extra = new DataView(bytes.buffer, bytes.byteOffset + nameEnd, extraLength);
    entries.push({ name, nameBytes, ...parseFields(fixed, extra, placeOf(path, name)) });
    position += length;
  }
  if (position !== bytes.byteLength) {
    throw new FileFormatError({
      where: path,
      expected: `a zip directory of ${position} bytes for ${count} entries`,
      got: `${bytes.byteLength}`,
    });
  }
  return entries;
}

function parseFields(
  fixed: DataView,
  extra: DataView,
  where: string,
): Omit<DirectoryEntry, 'name' | 'nameBytes'> {
  const flags = fixed.getUint16(8, true);
  const method = fixed.getUint16(10, true);
  const packed = fixed.getUint32(20, true);
  const unpacked = fixed.getUint32(24, true);
  const disk = fixed.getUint16(34, true);
  const offset = fixed.getUint32(42, true);
  const large = zip64Fields(extra, where);
  // The extra field holds only those values that do not fit, in this order.
  const widen = (value: number): number => {
    if (value !== MAX_32) return value;
    const wide = large.shift();
    if (wide === undefined) throw new FileFormatError({ where, expected: 'a zip64 size', got: 'none' });
    return wide;
  };
  const byteLength = widen(unpacked);
  const packedLength = widen(packed);
  const headerOffset = widen(offset);
  if ((flags & ~ALLOWED_FLAGS) !== 0) {
    throw new FileFormatError({
      where,
      expected: 'a plain zip entry',
      got: `flags ${hex(flags)} (encrypted?)`,
    });
  }
  if (method !== 0 || packedLength !== byteLength) {
    throw new FileFormatError({
      where,
      expected: 'an uncompressed zip entry, as torch.save writes',
      got: `method ${method}, ${packedLength} bytes for ${byteLength}`,
      hint: 'unpack it and pack it again without compression (zip -0)',
    });
  }
  if (disk !== 0)
    throw new FileFormatError({ where, expected: 'a zip file in one part', got: `part ${disk}` });
  return { flags, byteLength, headerOffset, crc32: fixed.getUint32(16, true) };
}

function zip64Fields(extra: DataView, where: string): number[] {
  for (let position = 0; position + 4 <= extra.byteLength; ) {
    const length = extra.getUint16(position + 2, true);
    const start = position + 4;
    if (start + length > extra.byteLength) break;
    if (extra.getUint16(position, true) === ZIP64_EXTRA) {
      return Array.from({ length: Math.floor(length / 8) }, (_, index) =>
        safeUint64(extra, start + 8 * index, where),
      );
    }
    position = start + length;
  }
  return [];
}

/** Where the data starts; `lowest` is where the entry before it ends, `highest` where the directory starts. */
async function checkLocalHeader(
  file: FileHandle,
  entry: DirectoryEntry,
  lowest: number,
  highest: number,
  path: string,
): Promise<number> {
  const where = placeOf(path, entry.name);
  const { nameBytes, headerOffset } = entry;
  const nameStart = headerOffset + LOCAL_HEADER_BYTES;
  if (headerOffset < lowest || nameStart + nameBytes.byteLength > highest) {
    throw new FileFormatError({
      where,
      expected: `its place in bytes ${lowest} to ${highest}, apart from other entries`,
      got: `${headerOffset}`,
    });
  }
  const header = new Uint8Array(LOCAL_HEADER_BYTES + nameBytes.byteLength);
  await readFully(file, header, headerOffset, where);
  const view = new DataView(header.buffer);
  const sizesFollow = (entry.flags & SIZES_AFTER_DATA) !== 0;
  const sizes = [view.getUint32(18, true), view.getUint32(22, true)];
  const agrees =
    view.getUint32(0, true) === SIGNATURES.local &&
    view.getUint16(6, true) === entry.flags &&
    view.getUint16(8, true) === 0 &&
    view.getUint16(26, true) === nameBytes.byteLength &&
    Buffer.compare(header.subarray(LOCAL_HEADER_BYTES), nameBytes) === 0 &&
    (sizesFollow || view.getUint32(14, true) === entry.crc32) &&
    (sizesFollow || sizes.every((size) => size === entry.byteLength || size === MAX_32));
  if (!agrees) {
    throw new FileFormatError({ where, expected: 'a local header like the directory says', got: 'another' });
  }
  const byteOffset = headerOffset + header.byteLength + view.getUint16(28, true);
  if (entry.byteLength > highest - byteOffset) {
    throw new FileFormatError({
      where,
      expected: `${entry.byteLength} bytes of data`,
      got: `${Math.max(0, highest - byteOffset)} before the directory`,
    });
  }
  return byteOffset;
}

/** A 64-bit length or offset that a file on this machine can have. */
export function safeUint64(view: DataView, offset: number, where: string): number {
  const value = view.getBigUint64(offset, true);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new FileFormatError({ where, expected: 'a size below 2^53', got: `${value}` });
  }
  return Number(value);
}

function decodeName(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FileFormatError({ where, expected: 'a UTF-8 name', got: 'bytes that are not', cause });
  }
}

function placeOf(path: string, name: string): string {
  return `${path}: ${JSON.stringify(name)}`;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
