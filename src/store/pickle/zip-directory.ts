import { FileFormatError } from '../../tensor/errors.ts';
import { SIGNATURES } from './zip-end.ts';

/** What the directory of a zip file says of an entry. */
export interface DirectoryEntry {
  readonly name: string;
  readonly byteLength: number;
  readonly crc32: number;
  readonly nameBytes: Uint8Array;
  readonly flags: number;
  readonly headerOffset: number;
}

export const DIRECTORY_HEADER_BYTES = 46;
/** Stands for a size or offset that only the zip64 extra field can hold. */
export const MAX_32 = 0xffffffff;
const ZIP64_EXTRA = 0x0001;

// Level hints, sizes after the data, UTF-8 names. Encryption, patches and masked headers are not among them.
const ALLOWED_FLAGS = 0x0002 | 0x0004 | 0x0008 | 0x0800;

/** Parses the directory's `count` entries, which must fill it exactly. */
export function parseDirectory(bytes: Uint8Array, count: number, path: string): DirectoryEntry[] {
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

/** A 64-bit length or offset that a file on this machine can have. */
function safeUint64(view: DataView, offset: number, where: string): number {
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

export function placeOf(path: string, name: string): string {
  return `${path}: ${JSON.stringify(name)}`;
}

export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
