import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { FileFormatError } from '../../tensor/errors.ts';
import { readFully } from '../../tensor/file-range.ts';
import { type DirectoryEntry, hex, MAX_32, parseDirectory, placeOf } from './zip-directory.ts';
import { readDirectoryPlace, SIGNATURES } from './zip-end.ts';

/** An uncompressed entry. Its name is a label and is never used as a path. */
export interface ZipEntry {
  readonly name: string;
  readonly byteOffset: number;
  readonly byteLength: number;
  readonly crc32: number;
}

export const LOCAL_HEADER_BYTES = 30;
const MAX_ENTRIES = 100_000;
const MAX_DIRECTORY_BYTES = 64_000_000;
const CRC_PIECE_BYTES = 1 << 28;

const SIZES_AFTER_DATA = 0x0008;

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
