import type { FileHandle } from 'node:fs/promises';
import { FileFormatError } from '../../tensor/errors.ts';
import { readFully } from '../../tensor/file-range.ts';

export const SIGNATURES = {
  local: 0x04034b50,
  directory: 0x02014b50,
  end: 0x06054b50,
  end64: 0x06064b50,
  locator64: 0x07064b50,
} as const;

export const END_BYTES = 22;
const END64_BYTES = 56;
const LOCATOR64_BYTES = 20;

/** Where the list of entries lies in a zip file. */
export interface DirectoryPlace {
  readonly entryCount: number;
  readonly byteOffset: number;
  readonly byteLength: number;
}

/**
 * Reads the records that end a zip file, with or without their 64-bit form (torch always writes it). The end
 * record must be the last thing in the file and the directory must touch it, so that there is one reading only.
 */
export async function readDirectoryPlace(
  file: FileHandle,
  sizeBytes: number,
  path: string,
): Promise<DirectoryPlace> {
  const tail = new Uint8Array(Math.min(sizeBytes, END_BYTES + LOCATOR64_BYTES + END64_BYTES));
  await readFully(file, tail, sizeBytes - tail.byteLength, path);
  const view = new DataView(tail.buffer);
  const end = tail.byteLength - END_BYTES;
  if (end < 0 || view.getUint32(end, true) !== SIGNATURES.end || view.getUint16(end + 20, true) !== 0) {
    throw new FileFormatError({
      where: path,
      expected: 'a zip file that ends with its end record',
      got: 'something else',
      hint: 'the file may be cut off: get it again',
    });
  }
  const entryCount = view.getUint16(end + 10, true);
  const byteLength = view.getUint32(end + 12, true);
  const byteOffset = view.getUint32(end + 16, true);
  const inOnePart =
    view.getUint16(end + 4, true) === 0 &&
    view.getUint16(end + 6, true) === 0 &&
    view.getUint16(end + 8, true) === entryCount;
  const small = { entryCount, byteOffset, byteLength };
  const locator = end - LOCATOR64_BYTES;
  const hasLocator = locator >= 0 && view.getUint32(locator, true) === SIGNATURES.locator64;
  const place = hasLocator ? readEnd64(view, locator, small, path) : small;
  const endOfDirectory = sizeBytes - END_BYTES - (hasLocator ? LOCATOR64_BYTES + END64_BYTES : 0);
  if (!inOnePart || place.byteOffset + place.byteLength !== endOfDirectory) {
    throw new FileFormatError({
      where: path,
      expected: `a zip directory in one part that ends at byte ${endOfDirectory}`,
      got: `${place.byteLength} bytes from ${place.byteOffset}`,
    });
  }
  return place;
}

function readEnd64(view: DataView, locator: number, small: DirectoryPlace, path: string): DirectoryPlace {
  const start = locator - END64_BYTES;
  const refuse = (got: string) =>
    new FileFormatError({ where: path, expected: 'a zip64 end record that fits the end record', got });
  // Size of the rest of the record: 44 bytes when it carries no extensions.
  if (start < 0 || view.getUint32(start, true) !== SIGNATURES.end64) throw refuse('none before its locator');
  if (view.getBigUint64(start + 4, true) !== 44n) throw refuse('one with extensions');
  const wide = [24, 32, 40, 48].map((offset) => view.getBigUint64(start + offset, true));
  const [onThisDisk, total, length, offset] = wide;
  const parts = [
    view.getUint32(start + 16, true),
    view.getUint32(start + 20, true),
    view.getUint32(locator + 4, true),
  ];
  if (parts.some((part) => part !== 0) || onThisDisk !== total) throw refuse('a file in several parts');
  if (wide.some((value) => value > BigInt(Number.MAX_SAFE_INTEGER))) throw refuse('sizes of 2^53 or more');
  const place = { entryCount: Number(total), byteLength: Number(length), byteOffset: Number(offset) };
  const fits =
    (small.entryCount === 0xffff || small.entryCount === place.entryCount) &&
    (small.byteLength === 0xffffffff || small.byteLength === place.byteLength) &&
    (small.byteOffset === 0xffffffff || small.byteOffset === place.byteOffset);
  if (!fits) throw refuse('other numbers');
  return place;
}
