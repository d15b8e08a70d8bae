import { DTYPE_SIZE_BYTES, type DType } from './dtype.ts';
import { FileFormatError } from './errors.ts';
import { formatShape, type Shape } from './shape.ts';
import { objectEntries, parseStrictJson, quoteBriefly } from './strict-json.ts';

/** Where one tensor lies in its file. */
export interface SafetensorsEntry {
  readonly dtype: DType;
  readonly shape: Shape;
  /** From the start of the file. */
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** A validated header: every entry lies inside the file, and together they cover its data exactly. */
export interface SafetensorsHeader {
  readonly path: string;
  readonly sizeBytes: number;
  /** In the order of their data in the file. */
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Bytes of the little-endian header length in front of the header. */
export const PREFIX_BYTES = 8;
export const MAX_HEADER_BYTES = 100_000_000;
export const MAX_TENSORS = 100_000;

const JSON_LIMITS = { maxDepth: 8, maxKeysPerObject: MAX_TENSORS + 1, scalars: 'naturals' } as const;
const DTYPES: ReadonlyMap<string, DType> = new Map(
  (Object.keys(DTYPE_SIZE_BYTES) as DType[]).map((dtype) => [dtype.toUpperCase(), dtype]),
);
const SPACE = 0x20;
const OPEN_OBJECT = 0x7b;

/** The header length from the first eight bytes, checked against the limit and the size of the file. */
export function readHeaderLength(prefix: Uint8Array, fileSizeBytes: number, path: string): number {
  if (fileSizeBytes < PREFIX_BYTES || prefix.byteLength < PREFIX_BYTES) {
    throw new FileFormatError({
      where: path,
      expected: `a safetensors file of at least ${PREFIX_BYTES} bytes`,
      got: `${fileSizeBytes} bytes`,
    });
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset, PREFIX_BYTES).getBigUint64(0, true);
  if (length < 2n || length > BigInt(MAX_HEADER_BYTES)) {
    throw new FileFormatError({
      where: path,
      expected: `a safetensors header of 2 to ${MAX_HEADER_BYTES} bytes`,
      got: `${length}`,
      hint: 'the file may not be in the safetensors format, or may be damaged',
    });
  }
  if (Number(length) > fileSizeBytes - PREFIX_BYTES) {
    throw new FileFormatError({
      where: path,
      expected: `a header of ${length} bytes`,
      got: `a file of ${fileSizeBytes} bytes`,
      hint: 'the file is cut off: get it again',
    });
  }
  return Number(length);
}

/** Parses and validates the JSON part. `fileSizeBytes` is the size of the whole file. */
export function parseHeader(json: Uint8Array, fileSizeBytes: number, path: string): SafetensorsHeader {
  checkEnds(json, path);
  const entries = new Map<string, SafetensorsEntry>();
  let metadata: Readonly<Record<string, string>> = {};
  const dataStart = PREFIX_BYTES + json.byteLength;
  for (const [name, value] of objectEntries(parseStrictJson(json, path, JSON_LIMITS), path)) {
    if (name === '__metadata__') metadata = parseMetadata(value, path);
    else entries.set(name, parseEntry(name, value, dataStart, path));
  }
  if (entries.size > MAX_TENSORS) {
    throw new FileFormatError({
      where: path,
      expected: `at most ${MAX_TENSORS} tensors`,
      got: `${entries.size}`,
    });
  }
  const inOrder = checkCoverage(entries, dataStart, fileSizeBytes, path);
  return { path, sizeBytes: fileSizeBytes, entries: inOrder, metadata };
}

export function placeOf(path: string, name: string): string {
  return `${path}: tensor ${quoteBriefly(name)}`;
}

function checkEnds(json: Uint8Array, path: string): void {
  if (json[0] !== OPEN_OBJECT) {
    throw new FileFormatError({
      where: path,
      expected: "a header that starts with '{'",
      got: `byte ${json[0]}`,
    });
  }
  let end = json.byteLength;
  while (json[end - 1] === SPACE) end--;
  if (json[end - 1] === 0) {
    throw new FileFormatError({ where: path, expected: 'a header padded with spaces', got: 'NUL bytes' });
  }
}

function parseMetadata(value: unknown, path: string): Readonly<Record<string, string>> {
  const where = `${path}: __metadata__`;
  const pairs: [string, string][] = [];
  for (const [key, text] of objectEntries(value, where)) {
    if (typeof text !== 'string') {
      throw new FileFormatError({
        where: `${where}: ${quoteBriefly(key)}`,
        expected: 'a string',
        got: quoteBriefly(text),
      });
    }
    pairs.push([key, text]);
  }
  return Object.fromEntries(pairs);
}

function parseEntry(name: string, value: unknown, dataStart: number, path: string): SafetensorsEntry {
  const where = placeOf(path, name);
  if (/\p{Surrogate}/u.test(name)) {
    throw new FileFormatError({ where, expected: 'a name that is valid Unicode', got: 'a lone surrogate' });
  }
  const fields = new Map(objectEntries(value, where));
  for (const field of fields.keys()) {
    if (field !== 'dtype' && field !== 'shape' && field !== 'data_offsets') {
      throw new FileFormatError({
        where,
        expected: 'only dtype, shape and data_offsets',
        got: quoteBriefly(field),
      });
    }
  }
  const dtypeName = fields.get('dtype');
  const dtype = typeof dtypeName === 'string' ? DTYPES.get(dtypeName) : undefined;
  if (!dtype) {
    throw new FileFormatError({
      where,
      expected: `one of the dtypes ${[...DTYPES.keys()].join(' ')}`,
      got: quoteBriefly(dtypeName),
    });
  }
  const shape = parseNaturals(fields.get('shape'), `${where}: shape`);
  const offsets = parseNaturals(fields.get('data_offsets'), `${where}: data_offsets`);
  if (offsets.length !== 2 || offsets[1] < offsets[0]) {
    throw new FileFormatError({
      where,
      expected: 'data_offsets [begin, end] with begin ≤ end',
      got: quoteBriefly(offsets),
    });
  }
  const byteLength = byteLengthOf(dtype, shape, where);
  if (byteLength !== offsets[1] - offsets[0]) {
    throw new FileFormatError({
      where,
      expected: `${byteLength} bytes for ${dtype} ${quoteBriefly(shape)}`,
      got: `${offsets[1] - offsets[0]} bytes`,
    });
  }
  return { dtype, shape, byteOffset: dataStart + offsets[0], byteLength };
}

function parseNaturals(value: unknown, where: string): number[] {
  if (!Array.isArray(value) || !value.every((item) => Number.isSafeInteger(item) && item >= 0)) {
    throw new FileFormatError({
      where,
      expected: 'a list of whole numbers from 0 to 2^53 − 1',
      got: quoteBriefly(value),
    });
  }
  return value;
}

/** Bytes of a dense tensor; refuses products that leave the safe integers even where an extent is 0. */
function byteLengthOf(dtype: DType, shape: Shape, where: string): number {
  let total = DTYPE_SIZE_BYTES[dtype];
  let nonZero = total;
  for (const extent of shape) {
    total *= extent;
    nonZero *= extent || 1;
    if (nonZero > Number.MAX_SAFE_INTEGER) {
      throw new FileFormatError({
        where,
        expected: 'a size below 2^53 bytes',
        got: quoteBriefly(formatShape(shape)),
      });
    }
  }
  return total;
}

/** No gap, no overlap, nothing left over (a hidden part could hold anything). Returns the data order. */
function checkCoverage(
  entries: ReadonlyMap<string, SafetensorsEntry>,
  dataStart: number,
  fileSizeBytes: number,
  path: string,
): Map<string, SafetensorsEntry> {
  const byPosition = [...entries].sort(
    ([, a], [, b]) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength,
  );
  let position = dataStart;
  for (const [name, { byteOffset, byteLength }] of byPosition) {
    if (byteOffset !== position) {
      throw new FileFormatError({
        where: placeOf(path, name),
        expected: `data at ${position - dataStart}, right after the tensor before it`,
        got: `data at ${byteOffset - dataStart} (${byteOffset < position ? 'an overlap' : 'a gap'})`,
      });
    }
    position += byteLength;
  }
  if (position !== fileSizeBytes) {
    throw new FileFormatError({
      where: path,
      expected: `${position} bytes, as the header says`,
      got: `${fileSizeBytes} bytes`,
      hint: position > fileSizeBytes ? 'the file is cut off: get it again' : 'bytes follow the last tensor',
    });
  }
  return new Map(byPosition);
}
