import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FileFormatError } from '../../tensor/errors.ts';
import { withFile } from '../../tensor/file-range.ts';
import { crc32Of, readZip, readZipEntry } from './zip-reader.ts';
import { encodeZip } from './zip-writer.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dualreal-zip-'));
});
afterAll(() => rm(folder, { recursive: true }));

interface RawEntry {
  name: string;
  data: Buffer;
  /** Other values than the true ones, in the local header or the directory. */
  local?: Partial<Fields>;
  directory?: Partial<Fields>;
  directoryExtra?: Buffer;
}

interface Fields {
  flags: number;
  method: number;
  crc: number;
  packed: number;
  unpacked: number;
  nameLength: number;
  disk: number;
  offset: number;
  name: string;
}

/** A zip file built field by field, so that any of them can lie. `end` changes the 22-byte end record. */
function rawZip(entries: RawEntry[], end: (record: Buffer) => Buffer = (record) => record): Buffer {
  const pieces: Buffer[] = [];
  const directory: Buffer[] = [];
  let position = 0;
  for (const {
    name,
    data,
    local = {},
    directory: central = {},
    directoryExtra = Buffer.alloc(0),
  } of entries) {
    const truth = {
      flags: 0,
      method: 0,
      crc: crc32Of([data]),
      packed: data.length,
      unpacked: data.length,
      disk: 0,
      offset: position,
      name,
    };
    const near = { ...truth, ...local };
    const header = Buffer.alloc(30);
    header.writeUInt32LE(0x04034b50, 0);
    writeCommon(header, 6, { ...near, nameLength: near.nameLength ?? near.name.length });
    const far = { ...truth, ...central };
    const listed = Buffer.alloc(46);
    listed.writeUInt32LE(0x02014b50, 0);
    writeCommon(listed, 8, { ...far, nameLength: far.nameLength ?? far.name.length });
    listed.writeUInt16LE(directoryExtra.length, 30);
    listed.writeUInt16LE(far.disk, 34);
    listed.writeUInt32LE(far.offset, 42);
    directory.push(listed, Buffer.from(far.name, 'latin1'), directoryExtra);
    const piece = Buffer.concat([header, Buffer.from(near.name, 'latin1'), data]);
    pieces.push(piece);
    position += piece.length;
  }
  const list = Buffer.concat(directory);
  const record = Buffer.alloc(22);
  record.writeUInt32LE(0x06054b50, 0);
  record.writeUInt16LE(entries.length, 8);
  record.writeUInt16LE(entries.length, 10);
  record.writeUInt32LE(list.length, 12);
  record.writeUInt32LE(position, 16);
  return Buffer.concat([...pieces, list, end(record)]);
}

function writeCommon(header: Buffer, at: number, fields: Fields): void {
  header.writeUInt16LE(fields.flags, at);
  header.writeUInt16LE(fields.method, at + 2);
  header.writeUInt32LE(fields.crc, at + 8);
  header.writeUInt32LE(fields.packed, at + 12);
  header.writeUInt32LE(fields.unpacked, at + 16);
  header.writeUInt16LE(fields.nameLength, at + 20);
}

async function readAll(bytes: Uint8Array): Promise<Record<string, string>> {
  const path = join(folder, 'test.zip');
  await writeFile(path, bytes);
  return withFile(path, async (file) => {
    const found: [string, string][] = [];
    for (const [name, entry] of await readZip(file, bytes.length, path)) {
      found.push([name, Buffer.from(await readZipEntry(file, entry, path)).toString()]);
    }
    return Object.fromEntries(found);
  });
}

const entry = (name: string, text: string, rest: Partial<RawEntry> = {}): RawEntry => ({
  name,
  data: Buffer.from(text),
  ...rest,
});
const A = entry('a', 'one');
const B = entry('b', 'three');

/** The zip64 forms of the end record and its locator, before an end record. */
function withEnd64(count: number, listBytes: number, listStart: number) {
  return (record: Buffer): Buffer => {
    const wide = Buffer.alloc(56);
    wide.writeUInt32LE(0x06064b50, 0);
    wide.writeBigUInt64LE(44n, 4);
    for (const [index, value] of [count, count, listBytes, listStart].entries()) {
      wide.writeBigUInt64LE(BigInt(value), 24 + 8 * index);
    }
    const locator = Buffer.alloc(20);
    locator.writeUInt32LE(0x07064b50, 0);
    locator.writeBigUInt64LE(BigInt(listStart + listBytes), 8);
    return Buffer.concat([wide, locator, record]);
  };
}

function zip64Extra(...values: number[]): Buffer {
  const extra = Buffer.alloc(4 + 8 * values.length);
  extra.writeUInt16LE(1, 0);
  extra.writeUInt16LE(8 * values.length, 2);
  for (const [index, value] of values.entries()) extra.writeBigUInt64LE(BigInt(value), 4 + 8 * index);
  return extra;
}

describe('zip reader', () => {
  it('reads plain, empty and zip64 files', async () => {
    expect(await readAll(rawZip([A, B, entry('c', '')]))).toEqual({ a: 'one', b: 'three', c: '' });
    expect(await readAll(rawZip([]))).toEqual({});
    const wide = {
      local: { packed: 0xffffffff, unpacked: 0xffffffff },
      directory: { packed: 0xffffffff, unpacked: 0xffffffff, offset: 0xffffffff },
    };
    const big = entry('a', 'one', {
      ...wide,
      directoryExtra: Buffer.concat([Buffer.from('xx\0\0'), zip64Extra(3, 3, 0)]),
    });
    expect(await readAll(rawZip([big]))).toEqual({ a: 'one' });
    const saturated = (record: Buffer) => withEnd64(1, 47, 34)(record.fill(0xff, 8, 20));
    expect(await readAll(rawZip([A], saturated))).toEqual({ a: 'one' });
    expect(await readAll(rawZip([A], withEnd64(1, 47, 34)))).toEqual({ a: 'one' });
  });

  it('reads what the writer writes, aligned to 64 bytes', async () => {
    const contents = Array.from({ length: 40 }, (_, index) => ({
      name: `ü/${'n'.repeat(index)}`,
      bytes: Buffer.from('x'.repeat(index * 7)),
    }));
    const bytes = Buffer.concat(encodeZip(contents, 'test'));
    const expected = contents.map(({ name, bytes: data }) => [name, data.toString()]);
    expect(await readAll(bytes)).toEqual(Object.fromEntries(expected));
    const path = join(folder, 'test.zip');
    const found = await withFile(path, (file) => readZip(file, bytes.length, path));
    for (const { byteOffset } of found.values()) expect(byteOffset % 64).toBe(0);
  });

  it('takes names for labels, never for paths', async () => {
    expect(await readAll(rawZip([entry('../../evil', 'x'), entry('/etc/passwd', 'y')]))).toEqual({
      '../../evil': 'x',
      '/etc/passwd': 'y',
    });
    expect(await readdir(folder)).toEqual(['test.zip']);
  });

  const damaged = rawZip([A]);
  damaged[31] ^= 1;
  it.each<[string, Buffer, RegExp]>([
    ['empty file', Buffer.alloc(0), /ends with its end record/],
    ['cut off', rawZip([A]).subarray(0, -1), /ends with its end record/],
    ['bytes behind the end', Buffer.concat([rawZip([A]), Buffer.from('x')]), /ends with its end record/],
    [
      'a comment',
      rawZip([A], (end) => Buffer.concat([end.fill(1, 20, 21), Buffer.from('x')])),
      /ends with its end/,
    ],
    ['bytes in front', Buffer.concat([Buffer.from('#!/bin/sh\n'), rawZip([A])]), /directory in one part/],
    ['several parts', rawZip([A], (end) => end.fill(1, 4, 5)), /in one part/],
    [
      'more entries than said',
      rawZip([A, B], (end) => end.fill(1, 8, 9).fill(1, 10, 11)),
      /directory of 47 bytes/,
    ],
    ['fewer entries than said', rawZip([A], (end) => end.fill(2, 8, 9).fill(2, 10, 11)), /a directory entry/],
    [
      '65535 entries, no zip64',
      rawZip([A], (end) => end.fill(0xff, 8, 12)),
      /entry 1: expected a directory entry/,
    ],
    [
      'too many entries',
      rawZip([A], withEnd64(100_001, 47, 34)),
      /zip64 end record that fits|at most 100000/,
    ],
    [
      'too many entries in 64 bits',
      rawZip([A], (end) => withEnd64(2 ** 40, 47, 34)(end.fill(0xff, 8, 12))),
      /at most 100000/,
    ],
    ['zip64 in conflict', rawZip([A], withEnd64(2, 47, 34)), /zip64 end record that fits/],
    ['zip64 of 2^63 bytes', rawZip([A], (end) => withEnd64(1, 2 ** 63, 0)(end.fill(0xff, 8, 20))), /2\^53/],
    [
      'compressed',
      rawZip([entry('a', 'x', { local: { method: 8 }, directory: { method: 8 } })]),
      /"a": expected an uncompressed/,
    ],
    ['unpacks to more', rawZip([entry('a', 'x', { directory: { unpacked: 2 ** 31 } })]), /2147483648/],
    ['encrypted', rawZip([entry('a', 'x', { local: { flags: 1 }, directory: { flags: 1 } })]), /flags 0x1/],
    ['one name twice', rawZip([A, A]), /"a" twice/],
    [
      'two entries in one place',
      rawZip([A, entry('b', 'x', { directory: { offset: 0 } })]),
      /"b": expected its place/,
    ],
    [
      'an entry inside another',
      rawZip([A, entry('b', 'x', { directory: { offset: 31 } })]),
      /apart from other entries/,
    ],
    ['an entry past the directory', rawZip([entry('a', 'x', { directory: { offset: 40 } })]), /its place/],
    [
      'data past the directory',
      rawZip([entry('a', 'x', { directory: { packed: 9, unpacked: 9 }, local: { packed: 9, unpacked: 9 } })]),
      /9 bytes of data, got 1/,
    ],
    ['another local name', rawZip([entry('a', 'x', { local: { name: 'b' } })]), /a local header like/],
    ['another local size', rawZip([entry('a', 'x', { local: { packed: 2 } })]), /a local header like/],
    ['another local method', rawZip([entry('a', 'x', { local: { method: 8 } })]), /a local header like/],
    ['another local checksum', rawZip([entry('a', 'x', { local: { crc: 1 } })]), /a local header like/],
    [
      'no zip64 extra',
      rawZip([entry('a', 'x', { directory: { unpacked: 0xffffffff } })]),
      /a zip64 size, got none/,
    ],
    [
      'zip64 extra of 2^60',
      rawZip([entry('a', 'x', { directoryExtra: zip64Extra(2 ** 60) })]),
      /below 2\^53/,
    ],
    ['other disk', rawZip([entry('a', 'x', { directory: { disk: 1 } })]), /in one part, got part 1/],
    [
      'name longer than the directory',
      rawZip([entry('a', 'x', { directory: { nameLength: 99 } })]),
      /145 bytes/,
    ],
    ['a name that is not UTF-8', rawZip([entry('\xff', 'x')]), /a UTF-8 name/],
    ['damaged data', damaged, /"a": expected the checksum/],
  ])('refuses: %s', async (_, bytes, message) => {
    await expect(readAll(bytes)).rejects.toThrow(FileFormatError);
    await expect(readAll(bytes)).rejects.toThrow(message);
  });
});
