import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { allocate, bytesOf, DTYPE_SIZE_BYTES, type DType } from './dtype.ts';
import { FileFormatError, ShapeError } from './errors.ts';
import { floats, type HostTensor } from './host-tensor.ts';
import { type RandomStream, randomStream } from './random.ts';
import {
  encodeSafetensors,
  parseSafetensors,
  readSafetensorsFile,
  readSafetensorsHeader,
  readTensor,
  writeSafetensorsFile,
} from './safetensors.ts';
import { sizeOf } from './shape.ts';

const DTYPES = Object.keys(DTYPE_SIZE_BYTES) as DType[];
const NAMES = ['a.weight', '0', '10', '__proto__', '', 'ü\n"\\', '日本', 'constructor', 'z'.repeat(300)];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dualreal-safetensors-'));
});
afterAll(() => rm(folder, { recursive: true }));

function randomTensor(random: RandomStream): HostTensor {
  const dtype = random.pick(DTYPES);
  const shape = Array.from({ length: random.integer(4) }, () => random.integer(5));
  const data = allocate(dtype, sizeOf(shape));
  const bytes = bytesOf(data);
  // Every bit pattern, NaN payloads included; only truth values are 0 or 1.
  for (let i = 0; i < bytes.length; i++) bytes[i] = random.integer(dtype === 'bool' ? 2 : 256);
  return { dtype, shape, data };
}

function plain(tensors: ReadonlyMap<string, HostTensor>): unknown {
  return [...tensors].map(([name, { dtype, shape, data }]) => [name, dtype, shape, [...bytesOf(data)]]);
}

describe('round trip', () => {
  it('keeps names, order, dtypes, shapes and every bit', async () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 150; seed++) {
      const random = randomStream(seed, 'safetensors');
      const names = random.permutation(NAMES.length).slice(0, random.integer(NAMES.length + 1));
      const tensors = new Map(names.map((index) => [NAMES[index], randomTensor(random)]));
      for (const { dtype } of tensors.values()) seen.add(dtype);
      const metadata = seed % 2 ? { format: 'pt', __proto__x: '', 'ä"': `${seed}` } : {};
      const bytes = encodeSafetensors(tensors, metadata);
      expect((bytes.length - dataBytes(tensors)) % 8).toBe(0);

      // At an odd place in a larger buffer nothing is aligned.
      const shifted = new Uint8Array(bytes.length + 1);
      shifted.set(bytes, 1);
      for (const input of [bytes, shifted.subarray(1), Buffer.from(shifted.buffer, 1)]) {
        const parsed = parseSafetensors(input);
        expect(sortEmpty(plain(parsed.tensors))).toEqual(sortEmpty(plain(tensors)));
        expect(parsed.metadata).toEqual(metadata);
      }
      if (seed % 15) continue;
      const path = join(folder, 'round-trip.safetensors');
      await writeSafetensorsFile(path, tensors, metadata);
      expect(new Uint8Array(await readFile(path))).toEqual(bytes);
      expect(sortEmpty(plain(await readSafetensorsFile(path)))).toEqual(sortEmpty(plain(tensors)));
      const header = await readSafetensorsHeader(path);
      for (const [name, tensor] of tensors) {
        expect(plain(new Map([[name, await readTensor(header, name)]]))).toEqual(
          plain(new Map([[name, tensor]])),
        );
      }
    }
    expect(seen.size).toBe(DTYPES.length);
    expect(await readdir(folder)).toEqual(['round-trip.safetensors']);
  });

  it('refuses what it could not read back, and leaves no file', async () => {
    const path = join(folder, 'refused.safetensors');
    const tensor = floats([1], [1]);
    await expect(writeSafetensorsFile(path, new Map([['__metadata__', tensor]]))).rejects.toThrow(
      FileFormatError,
    );
    await expect(writeSafetensorsFile(path, new Map([['\ud800', tensor]]))).rejects.toThrow(FileFormatError);
    const torn = { ...tensor, shape: [2] };
    await expect(writeSafetensorsFile(path, new Map([['torn', torn]]))).rejects.toThrow(ShapeError);
    await expect(readFile(path)).rejects.toThrow('ENOENT');
  });
});

describe('a file that changes after its header was read', () => {
  it('is noticed', async () => {
    const path = join(folder, 'shrinking.safetensors');
    await writeSafetensorsFile(path, new Map([['x', floats([4], [1, 2, 3, 4])]]));
    const header = await readSafetensorsHeader(path);
    await truncate(path, header.sizeBytes - 4);
    await expect(readTensor(header, 'x')).rejects.toThrow('the file changed while it was read');
    await expect(readTensor(header, 'y')).rejects.toThrow(/tensor "y"/);
  });
});

describe('hostile files', () => {
  const entry = (dtype: string, shape: string, begin: number, end: number) =>
    `{"dtype":"${dtype}","shape":${shape},"data_offsets":[${begin},${end}]}`;
  const good = entry('F32', '[2]', 0, 8);
  const cases: [string, Uint8Array, RegExp][] = [
    ['empty', new Uint8Array(0), /at least 8 bytes/],
    ['seven bytes', new Uint8Array(7), /at least 8 bytes/],
    ['no header', file('', 0, 0), /2 to 100000000 bytes/],
    ['header over the limit', file('{}', 0, 100_000_001), /2 to 100000000 bytes, got 100000001/],
    ['header of 2^64 − 1 bytes', file('{}', 0, 2n ** 64n - 1n), /got 18446744073709551615/],
    ['header longer than the file', file('{}', 0, 3), /cut off/],
    ['leading space', file(' {}', 0), /starts with '\{'/],
    ['a list', file('[]', 0), /starts with '\{'/],
    ['byte order mark', file('\ufeff{}', 0), /starts with '\{'/],
    ['NUL padding', file('{}\0\0', 0), /padded with spaces, got NUL/],
    ['NUL before spaces', file('{}\0  ', 0), /padded with spaces, got NUL/],
    ['not UTF-8', file(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d), 0), /valid UTF-8/],
    ['not JSON', file('{"a":', 0), /valid JSON/],
    ['two values', file('{}{}', 0), /valid JSON/],
    ['a tensor twice', file(`{"a":${good},"a":${good}}`, 8), /"a" twice/],
    ['a tensor twice, once escaped', file(`{"a":${good},"\\u0061":${good}}`, 8), /"a" twice/],
    ['__metadata__ twice', file('{"__metadata__":{},"__metadata__":{}}', 0), /"__metadata__" twice/],
    ['a metadata key twice', file('{"__metadata__":{"k":"1","k":"2"}}', 0), /"k" twice/],
    [
      'a field twice',
      file('{"a":{"dtype":"F32","dtype":"I32","shape":[],"data_offsets":[0,4]}}', 4),
      /"dtype" twice/,
    ],
    ['deep nesting', file(`{"a":${'['.repeat(1e6)}`, 0), /nested at most 8 deep/],
    ['metadata number', file('{"__metadata__":{"k":1}}', 0), /__metadata__: "k": expected a string, got 1/],
    ['metadata object', file('{"__metadata__":{"k":{}}}', 0), /expected a string/],
    ['metadata list', file('{"__metadata__":[]}', 0), /a JSON object/],
    ['unknown dtype', file(`{"a":${entry('F8_E4M3', '[4]', 0, 4)}}`, 4), /tensor "a".*got "F8_E4M3"/],
    ['lower-case dtype', file(`{"a":${entry('f32', '[1]', 0, 4)}}`, 4), /got "f32"/],
    ['dtype from the prototype', file(`{"a":${entry('constructor', '[]', 0, 4)}}`, 4), /got "constructor"/],
    ['no dtype', file('{"a":{"shape":[1],"data_offsets":[0,4]}}', 4), /one of the dtypes/],
    ['no shape', file('{"a":{"dtype":"F32","data_offsets":[0,4]}}', 4), /shape: expected a list/],
    ['no offsets', file('{"a":{"dtype":"F32","shape":[1]}}', 4), /data_offsets: expected a list/],
    ['an unknown field', file('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":""}}', 4), /got "x"/],
    ['tensor is a list', file('{"a":[]}', 0), /a JSON object/],
    ['negative extent', file(`{"a":${entry('F32', '[-1]', 0, 4)}}`, 4), /plain digits/],
    ['fractional extent', file(`{"a":${entry('F32', '[1.0]', 0, 4)}}`, 4), /plain digits/],
    ['exponent', file(`{"a":${entry('F32', '[1e0]', 0, 4)}}`, 4), /plain digits/],
    ['null extent', file(`{"a":${entry('F32', '[null]', 0, 4)}}`, 4), /plain digits/],
    ['text extent', file(`{"a":${entry('F32', '["1"]', 0, 4)}}`, 4), /whole numbers/],
    ['extent 2^53', file(`{"a":${entry('U8', '[9007199254740992]', 0, 0)}}`, 0), /2\^53/],
    ['product overflow', file(`{"a":${entry('F32', '[4294967296,4294967296]', 0, 4)}}`, 4), /below 2\^53/],
    [
      'overflow hidden by a 0',
      file(`{"a":${entry('F32', '[4294967296,4294967296,0]', 0, 0)}}`, 0),
      /below 2\^53/,
    ],
    ['overflow to 0 in 64 bits', file(`{"a":${entry('F32', '[4611686018427387904]', 0, 0)}}`, 0), /2\^53/],
    ['shape smaller than data', file(`{"a":${entry('F32', '[1]', 0, 8)}}`, 8), /expected 4 bytes.*got 8/],
    ['shape larger than data', file(`{"a":${entry('F32', '[3]', 0, 8)}}`, 8), /expected 12 bytes.*got 8/],
    ['end before begin', file(`{"a":${entry('F32', '[1]', 4, 0)}}`, 4), /begin ≤ end/],
    ['one offset', file('{"a":{"dtype":"F32","shape":[1],"data_offsets":[4]}}', 4), /begin ≤ end/],
    ['three offsets', file('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}', 4), /begin ≤ end/],
    ['overlap', file(`{"a":${good},"b":${entry('F32', '[2]', 4, 12)}}`, 12), /tensor "b".*an overlap/],
    ['same data twice', file(`{"a":${good},"b":${good}}`, 8), /an overlap/],
    ['gap', file(`{"a":${good},"b":${entry('F32', '[1]', 12, 16)}}`, 16), /tensor "b".*a gap/],
    ['gap at the start', file(`{"a":${entry('F32', '[1]', 4, 8)}}`, 8), /a gap/],
    ['empty tensor behind a gap', file(`{"a":${good},"b":${entry('F32', '[0]', 9, 9)}}`, 8), /a gap/],
    ['data cut off', file(`{"a":${good}}`, 7), /cut off/],
    ['bytes after the data', file(`{"a":${good}}`, 9), /bytes follow the last tensor/],
    ['data without a tensor', file('{}', 1), /bytes follow/],
    ['lone surrogate in a name', file(`{"\\ud800":${good}}`, 8), /valid Unicode/],
    ['too many tensors', file(manyTensors(100_001), 0), /at most 10000[01]/],
  ];

  it.each(cases)('%s', async (name, bytes, message) => {
    expect(() => parseSafetensors(bytes, name)).toThrow(FileFormatError);
    expect(() => parseSafetensors(bytes, name)).toThrow(message);
    const path = join(folder, 'hostile.safetensors');
    await writeFile(path, bytes);
    await expect(readSafetensorsHeader(path)).rejects.toThrow(message);
    await expect(readSafetensorsHeader(path)).rejects.toThrow(path);
    await expect(readSafetensorsFile(path)).rejects.toThrow(FileFormatError);
  });

  it('the well-formed neighbours are read', () => {
    expect(parseSafetensors(file('{}  ', 0)).tensors.size).toBe(0);
    expect(parseSafetensors(file(`{"a":${good}}`, 8)).tensors.get('a')?.shape).toEqual([2]);
    const twins = `{"b":${entry('F32', '[0]', 8, 8)},"a":${good},"c":${entry('U8', '[2,0]', 8, 8)}}`;
    expect([...parseSafetensors(file(twins, 8)).tensors.keys()]).toEqual(['a', 'b', 'c']);
  });

  it('a folder is not a file', async () => {
    await expect(readSafetensorsHeader(folder)).rejects.toThrow(FileFormatError);
  });
});

/** Header text (or bytes), that many data bytes, and the true header length unless another is given. */
function file(header: string | Uint8Array, dataLength: number, claimedLength?: number | bigint): Uint8Array {
  const json = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const out = new Uint8Array(8 + json.length + dataLength);
  new DataView(out.buffer).setBigUint64(0, BigInt(claimedLength ?? json.length), true);
  out.set(json, 8);
  return out;
}

function manyTensors(count: number): string {
  const empty = '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}';
  return `{${Array.from({ length: count }, (_, index) => `"${index}":${empty}`).join(',')}}`;
}

function dataBytes(tensors: ReadonlyMap<string, HostTensor>): number {
  return [...tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
}

/** Tensors without bytes share their place, so a reader may list them in any order. */
function sortEmpty(list: unknown): unknown {
  const rows = list as [string, string, number[], number[]][];
  const empty = rows.filter((row) => row[3].length === 0).sort((a, b) => (a[0] < b[0] ? -1 : 1));
  return [rows.filter((row) => row[3].length > 0), empty];
}
