import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { allocate, bytesOf, DTYPE_SIZE_BYTES, type DType } from '../../tensor/dtype.ts';
import { FileFormatError, ShapeError } from '../../tensor/errors.ts';
import { floats, type HostTensor } from '../../tensor/host-tensor.ts';
import { type RandomStream, randomStream } from '../../tensor/random.ts';
import { sizeOf } from '../../tensor/shape.ts';
import { openPth, readPth } from './pth.ts';
import { writePth } from './write-pth.ts';
import { encodeZip } from './zip-writer.ts';

const DTYPES = Object.keys(DTYPE_SIZE_BYTES) as DType[];
const INPUTS = Number(process.env.DUALREAL_FUZZ_INPUTS ?? 20_000) / 20;

let folder: string;
let path: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dualreal-pth-'));
  path = join(folder, 'test.pth');
});
afterAll(() => rm(folder, { recursive: true }));

/** One tensor per dtype, each of another rank, an empty one and awkward names. */
function someTensors(random: RandomStream): Map<string, HostTensor> {
  const tensors = new Map<string, HostTensor>();
  for (const [index, dtype] of DTYPES.entries()) {
    const shape = Array.from({ length: index % 4 }, () => 1 + random.integer(4));
    const data = allocate(dtype, sizeOf(shape));
    const bytes = bytesOf(data);
    for (let i = 0; i < bytes.length; i++) bytes[i] = random.integer(dtype === 'bool' ? 2 : 256);
    tensors.set(`blocks.${index}.${dtype}`, { dtype, shape, data });
  }
  tensors.set('empty', floats([0, 3], []));
  tensors.set('ü "\\ \n', floats([70_000], new Float32Array(70_000).fill(1)));
  return tensors;
}

type Row = [name: string, dtype: string, shape: readonly number[], sha256: string];

function digest(tensors: ReadonlyMap<string, HostTensor>): Row[] {
  return Array.from(tensors, ([name, { dtype, shape, data }]) => [
    name,
    dtype,
    shape,
    createHash('sha256').update(bytesOf(data)).digest('hex'),
  ]);
}

describe('export', () => {
  it('is read back bit for bit, in order, and is deterministic', async () => {
    const tensors = someTensors(randomStream(1, 'pth'));
    await writePth(path, tensors);
    const first = await readFile(path);
    expect(digest(await readPth(path))).toEqual(digest(tensors));
    const opened = await openPth(path);
    for (const [name, { byteOffset, byteLength }] of opened.tensors) {
      const tensor = await opened.read(name);
      expect(digest(new Map([[name, tensor]]))).toEqual(digest(new Map([[name, tensors.get(name)!]])));
      expect(first.subarray(byteOffset, byteOffset! + byteLength).equals(bytesOf(tensor.data))).toBe(true);
    }
    await writePth(path, tensors);
    expect((await readFile(path)).equals(first)).toBe(true);
    expect(() => opened.read('other')).toThrow('tensor "other"');
    expect(await readdir(folder)).toEqual(['test.pth']);
  });

  it('refuses what it could not read back', async () => {
    await expect(writePth(path, new Map([['\ud800', floats([1], [1])]]))).rejects.toThrow(FileFormatError);
    await expect(writePth(path, new Map([['x', { ...floats([1], [1]), shape: [2] }]]))).rejects.toThrow(
      ShapeError,
    );
  });

  const python = ['/usr/bin/python3', 'python3'].find(
    (command) => spawnSync(command, ['-c', FIND_TORCH]).status === 0,
  );
  it.skipIf(!python)(
    python ? 'torch.load reads it bit for bit' : 'torch.load reads it (skipped: no python3 with torch here)',
    async () => {
      const tensors = someTensors(randomStream(2, 'pth'));
      await writePth(path, tensors);
      const { stdout, stderr } = spawnSync(python!, ['-c', LOAD_WITH_TORCH, path], { encoding: 'utf8' });
      expect(stderr).toBe('');
      const loaded = JSON.parse(stdout) as [...Row, boolean][];
      expect(loaded.map(([name, dtype, shape, sha]) => [name, dtype, shape, sha])).toEqual(digest(tensors));
      const floating = ['f64', 'f32', 'f16', 'bf16'];
      for (const [, dtype, , , isParameter] of loaded) expect(isParameter).toBe(floating.includes(dtype));
    },
  );
});

describe('import', () => {
  const archive = (entries: Record<string, string | Uint8Array>) => {
    const contents = Object.entries(entries).map(([name, data]) => ({
      name,
      bytes: typeof data === 'string' ? Buffer.from(data, 'latin1') : data,
    }));
    return Buffer.concat(encodeZip(contents, 'test'));
  };
  const dict = (...items: string[]) => `}(${items.join('')}u.`;
  const text = (value: string) => `X${String.fromCharCode(value.length)}\0\0\0${value}`;
  const small = (value: number) => `K${String.fromCharCode(value)}`;
  /** A f32 view of storage 0, which has `length` elements. */
  const view = (length: number, shape: string, strides: string) =>
    `ctorch._utils\n_rebuild_tensor_v2\n((${text('storage')}ctorch\nFloatStorage\n${text('0')}${text('cpu')}` +
    `${small(length)}tQK\0(${shape}t(${strides}t\x89NtR`;
  const data = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer);
  const good = dict(text('x'), view(4, small(4), small(1)));

  it('takes state_dict where the outer dict has no tensors, and names what it leaves', async () => {
    const inner = `}(${text('x')}${view(4, small(2) + small(2), small(1) + small(2))}${text('note')}Nu`;
    await writeFile(
      path,
      archive({ 'a/data.pkl': dict(text('epoch'), 'N', text('state_dict'), inner), 'a/data/0': data }),
    );
    const file = await openPth(path);
    expect(file.otherNames).toEqual(['note']);
    expect(file.tensors.get('x')).toEqual({ dtype: 'f32', shape: [2, 2], byteLength: 16 });
    expect((await file.read('x')).data).toEqual(Float32Array.of(1, 3, 2, 4));
  });

  it('gives tied tensors memory of their own', async () => {
    const both = dict(text('x'), view(4, small(4), small(1)), text('y'), view(4, small(4), small(1)));
    await writeFile(path, archive({ 'a/data.pkl': both, 'a/data/0': data }));
    const tensors = await readPth(path);
    (tensors.get('x')!.data as Float32Array)[0] = 9;
    expect(tensors.get('y')!.data).toEqual(Float32Array.of(1, 2, 3, 4));
  });

  const long = (value: number) => `M${String.fromCharCode(value & 255, value >> 8)}`;
  it.each<[string, Uint8Array, RegExp]>([
    ['an empty file', new Uint8Array(0), /written by torch.save, got one that starts with nothing/],
    ['another format', Buffer.from('GGUF....'), /starts with 47475546/],
    ['no data.pkl', archive({ 'a/version': '3' }), /one data.pkl.*none among/],
    [
      'two data.pkl',
      archive({ 'a/data.pkl': good, 'b/data.pkl': good, 'a/data/0': data }),
      /a\/data.pkl, b\/data.pkl/,
    ],
    [
      'another byte order',
      archive({ 'a/data.pkl': good, 'a/data/0': data, 'a/byteorder': 'big' }),
      /byteorder.*got "big"/,
    ],
    [
      'another version',
      archive({ 'a/data.pkl': good, 'a/data/0': data, 'a/version': '11\n' }),
      /version.*got "11/,
    ],
    ['TorchScript', archive({ 'a/data.pkl': good, 'a/constants.pkl': '' }), /TorchScript/],
    ['bytes after the pickle', archive({ 'a/data.pkl': `${good}N`, 'a/data/0': data }), /an end at byte/],
    [
      'a storage that is missing',
      archive({ 'a/data.pkl': good, 'a/data/1': data }),
      /storage "0": expected an entry of 16 bytes.*got none/,
    ],
    [
      'a storage too short',
      archive({ 'a/data.pkl': good, 'a/data/0': data.subarray(1) }),
      /16 bytes.*got 15/,
    ],
    ['a storage of another folder', archive({ 'a/data.pkl': good, 'b/data/0': data }), /got none/],
    ['no tensor', archive({ 'a/data.pkl': dict(text('x'), 'N') }), /a dict of \["x"\]/],
    ['a list', archive({ 'a/data.pkl': ']N' + 'a.' }), /got no tensor/],
    [
      'a number as tensor name',
      archive({ 'a/data.pkl': dict(small(1), view(4, small(4), small(1))), 'a/data/0': data }),
      /names that are strings/,
    ],
    [
      'a tensor that unfolds to 4 GB',
      archive({
        'a/data.pkl': dict(text('x'), view(4, long(32768) + long(32768), small(0) + small(0))),
        'a/data/0': data,
      }),
      /unfold.*4294967296 bytes from 16/,
    ],
    [
      'many tensors that unfold',
      archive({
        'a/data.pkl': dict(
          ...Array.from(
            { length: 9 },
            (_, i) => text(`${i}`) + view(4, long(4096) + long(4096), small(0) + small(0)),
          ),
        ),
        'a/data/0': data,
      }),
      /tensor "4".*335544320 in all/,
    ],
  ])('refuses %s', async (_, bytes, message) => {
    await writeFile(path, bytes);
    await expect(openPth(path)).rejects.toThrow(FileFormatError);
    await expect(openPth(path)).rejects.toThrow(message);
  });

  describe('the format before torch 1.6', () => {
    const legacy = new URL('../../../test/golden/dualreal-adapter-pth/legacy_format.pth', import.meta.url);

    it('is read', async () => {
      const file = await openPth(fileURLToPath(legacy));
      expect(file.tensors.get('w')).toMatchObject({ dtype: 'f32', shape: [4, 6], byteLength: 96 });
      expect(await file.read('w')).toEqual(
        floats(
          [4, 6],
          Array.from({ length: 24 }, (_, index) => index / 2),
        ),
      );
    });

    it.each<[string, (bytes: Buffer) => Buffer, RegExp]>([
      ['cut off in its data', (bytes) => bytes.subarray(0, -1), /96 bytes, got 95 before the file ends/],
      ['cut off in its pickles', (bytes) => bytes.subarray(0, 100), /the end of the pickle/],
      [
        'bytes after the end',
        (bytes) => Buffer.concat([bytes, Buffer.from('x')]),
        /an end at byte 439, got 440/,
      ],
      ['another length', (bytes) => bytes.fill(25, 335, 336), /24 elements, got 25/],
      ['another version', (bytes) => bytes.fill(0xea, 18, 19), /format version 1001/],
      ['a big-endian machine', (bytes) => patch(bytes, 'little_endianq\x02\x88', '\x89'), /little-endian/],
      [
        'no storage keys',
        (bytes) =>
          Buffer.concat([bytes.subarray(0, bytes.indexOf('.\x80\x02]', 0, 'latin1') + 1), Buffer.from('].')]),
        /keys of 1 storages, got 0/,
      ],
    ])('is refused: %s', async (_, change, message) => {
      await writeFile(path, change(await readFile(legacy)));
      await expect(openPth(path)).rejects.toThrow(FileFormatError);
      await expect(openPth(path)).rejects.toThrow(message);
    });

    /** Replaces the last byte of the first `found`. */
    function patch(bytes: Buffer, found: string, last: string): Buffer {
      const place = bytes.indexOf(found, 0, 'latin1');
      expect(place).toBeGreaterThan(0);
      bytes.write(last, place + found.length - 1, 'latin1');
      return bytes;
    }
  });

  it(
    `${INPUTS} mutated files are read or refused with a FileFormatError`,
    async () => {
      const seeds = [archive({ 'a/data.pkl': good, 'a/data/0': data, 'a/version': '3\n' })];
      await writePth(
        path,
        new Map([
          ['w', floats([2, 2], [1, 2, 3, 4])],
          ['b', floats([], [1])],
        ]),
      );
      seeds.push(await readFile(path));
      const legacy = new URL('../../../test/golden/dualreal-adapter-pth/legacy_format.pth', import.meta.url);
      seeds.push(await readFile(legacy));
      let read = 0;
      for (let index = 0; index < INPUTS; index++) {
        const random = randomStream(index, 'pth-fuzz');
        let bytes = Buffer.from(random.pick(seeds));
        for (let round = random.integer(3); round >= 0; round--) {
          const place = random.integer(bytes.length);
          if (random.integer(12) === 0) bytes = bytes.subarray(0, place + 1);
          else
            bytes[place] = random.integer(3)
              ? random.integer(256)
              : random.pick([...'\0(tRQuc.']).charCodeAt(0);
        }
        await writeFile(path, bytes);
        try {
          for (const { data: values } of (await readPth(path)).values())
            expect(values.byteLength).toBeLessThan(1 << 16);
          read++;
        } catch (error) {
          if (!(error instanceof FileFormatError)) throw new Error(`input ${index}`, { cause: error });
        }
      }
      expect(read).toBeGreaterThan(INPUTS / 100);
      expect(read).toBeLessThan(INPUTS / 2);
    },
    30_000 + 10 * INPUTS,
  );
});

const FIND_TORCH = 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is None)';

const LOAD_WITH_TORCH = `
import hashlib, json, sys, torch
names = {torch.float64: 'f64', torch.float32: 'f32', torch.float16: 'f16', torch.bfloat16: 'bf16',
         torch.int64: 'i64', torch.int32: 'i32', torch.int16: 'i16', torch.int8: 'i8',
         torch.uint8: 'u8', torch.bool: 'bool'}
rows = []
for name, value in torch.load(sys.argv[1]).items():
    raw = value.detach().contiguous().flatten()
    raw = raw.view(torch.uint8).numpy().tobytes() if raw.numel() else b''
    is_parameter = isinstance(value, torch.nn.Parameter) and value.requires_grad
    rows.append([name, names[value.dtype], list(value.shape), hashlib.sha256(raw).hexdigest(), is_parameter])
print(json.dumps(rows))
`;
