import { execFile } from 'node:child_process';
import {
  appendFileSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, parse, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as g from '../graph/index.ts';
import { bytesOf, type DType, fromFloat32 } from '../tensor/dtype.ts';
import { DualrealError, FileFormatError } from '../tensor/errors.ts';
import { floats, type HostTensor, integers } from '../tensor/host-tensor.ts';
import { randomStream } from '../tensor/random.ts';
import { type Shape, sizeOf } from '../tensor/shape.ts';
import { createRuntime } from './runtime.ts';
import {
  bindWeights,
  compareWeights,
  type FileRegion,
  fileVersion,
  requireWeights,
  WeightsMismatchError,
  type WeightTable,
} from './weight-table.ts';

const runtime = createRuntime({ inline: true, threads: 1 });
afterAll(() => runtime.close());

let folder: string;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'dualreal-weights-')));
});
afterEach(() => rmSync(folder, { recursive: true }));

type StoredDType = 'f32' | 'f16' | 'bf16';

/** Writes values that every dtype holds exactly, after `before` bytes of something else. */
function stored(name: string, dtype: StoredDType, shape: Shape, before = 0): [FileRegion, Float32Array] {
  const random = randomStream(5, name);
  const values = Float32Array.from({ length: sizeOf(shape) }, () => (random.integer(33) - 16) / 8);
  const bytes = bytesOf(fromFloat32(dtype, values));
  const file = join(folder, `${name}.bin`);
  writeFileSync(file, Buffer.concat([Buffer.alloc(before, 0xff), bytes, Buffer.alloc(3, 0xff)]));
  return [{ file, dtype, shape, byteOffset: before, byteLength: bytes.length }, values];
}

async function run(
  outputs: Record<string, g.Value>,
  weights: WeightTable,
  feeds: Record<string, HostTensor> = {},
) {
  const executable = await runtime.compile(g.program('test', outputs), { weights });
  try {
    return await executable.run(feeds);
  } finally {
    await executable.release();
  }
}

describe('weights in files', () => {
  it.each<[StoredDType, number]>([
    ['f32', 0],
    ['f32', 8 + 13],
    ['f16', 7],
    ['f16', 4096],
    ['bf16', 1],
    ['bf16', 65_537],
  ])('are read in place as %s at offset %i', async (dtype, before) => {
    const shape = [3, 37];
    const [region, values] = stored('w', dtype, shape, before);
    const { y } = await run({ y: g.neg(g.weight('w', shape)) }, new Map([['w', region]]));
    expect(y).toEqual(
      floats(
        shape,
        values.map((value) => -value),
      ),
    );
  });

  it.each(['fold', 'mapped'] as const)('may be spread over files and host memory: %s', async (residence) => {
    const [a, aValues] = stored('a', 'f16', [4, 4], 5);
    const [b, bValues] = stored('b', 'bf16', [4, 4], 11);
    const x = g.input('x', [1, 4]);
    const y = g.add(g.linear(g.linear(x, g.weight('a', [4, 4])), g.weight('b', [4, 4])), g.weight('c', [4]));
    const weights = new Map<string, FileRegion | HostTensor>([
      ['a', a],
      ['b', b],
      ['c', floats([4], [1, 2, 3, 4])],
      ['not asked for', integers([1], [0])],
    ]);
    const executable = await runtime.compile(g.program('sharded', { y }), { weights, residence });
    const { y: actual } = await executable.run({ x: floats([1, 4], [1, -1, 2, 0.5]) });
    const through = (w: Float32Array, v: ArrayLike<number>) =>
      [0, 1, 2, 3].map((row) => [0, 1, 2, 3].reduce((sum, i) => sum + w[4 * row + i] * v[i], 0));
    const expected = through(bValues, through(aValues, [1, -1, 2, 0.5])).map((value, i) => value + i + 1);
    expect([...actual.data]).toEqual(expected);
    await executable.release();
  });

  it('may be named through symbolic links, as in a Hugging Face cache', async () => {
    const [region, values] = stored('blob', 'f32', [2], 3);
    await mkdir(join(folder, 'snapshots'));
    const link = join(folder, 'snapshots', 'model.safetensors');
    symlinkSync('../blob.bin', link);
    const { y } = await run({ y: g.neg(g.weight('w', [2])) }, new Map([['w', { ...region, file: link }]]));
    expect([...y.data]).toEqual([...values].map((value) => -value));
  });

  it('are found from the root, whatever the working folder', () => {
    const [region] = stored('w', 'f32', [2]);
    const traced = g.program('p', { y: g.neg(g.weight('w', [2])) });
    const { externalRoot, locations } = bindWeights(traced, new Map([['w', region]]));
    const { root } = parse(folder);
    expect(externalRoot).toBe(root);
    expect(locations.get('w')).toMatchObject({ kind: 'file', location: relative(root, region.file) });
  });
});

describe('a region that does not fit its file', () => {
  const traced = g.program('p', { y: g.neg(g.weight('w', [4])) });
  const bind = (region: FileRegion) => bindWeights(traced, new Map([['w', region]]));

  it.each<[string, (region: FileRegion) => Partial<FileRegion>]>([
    ['begins before the file', () => ({ byteOffset: -1 })],
    ['begins at a fraction', () => ({ byteOffset: 0.5 })],
    ['ends behind the file', ({ byteOffset }) => ({ byteOffset: byteOffset + 4 })],
    ['has too few bytes', () => ({ byteLength: 12 })],
    ['has the bytes of another dtype', () => ({ dtype: 'f16' })],
  ])('%s', (_what, change) => {
    const [region] = stored('w', 'f32', [4], 10);
    expect(() => bind({ ...region, ...change(region) })).toThrow(FileFormatError);
    expect(() => bind({ ...region, ...change(region) })).toThrow(/w\.bin, tensor w/);
    expect(() => bind(region)).not.toThrow();
  });

  it('was cut', () => {
    const [region] = stored('w', 'f32', [4], 10);
    truncateSync(region.file, 25);
    expect(() => bind(region)).toThrow(
      /inside a file of 25 bytes, got 16 bytes at offset 10[\s\S]*hint: .*cut/,
    );
  });

  it('was replaced or written to since it was opened', () => {
    const [region] = stored('w', 'f32', [4], 10);
    const opened = { ...region, version: fileVersion(region.file) };
    expect(() => bind(opened)).not.toThrow();
    const [other] = stored('other', 'f32', [4], 10);
    renameSync(other.file, region.file);
    expect(() => bind(opened)).toThrow(/expected the file that was opened/);

    const again = { ...region, version: fileVersion(region.file) };
    utimesSync(region.file, 1, 1);
    expect(() => bind(again)).toThrow(/expected the file that was opened/);
    const once = { ...region, version: fileVersion(region.file) };
    appendFileSync(region.file, 'more');
    expect(() => bind(once)).toThrow(/expected the file that was opened/);
  });

  it('is in no file at all', () => {
    const [region] = stored('w', 'f32', [4]);
    expect(() => bind({ ...region, file: folder })).toThrow(/a folder or a device/);
    expect(() => bind({ ...region, file: relative(process.cwd(), region.file) })).toThrow(/a relative path/);
    expect(() => bind({ ...region, file: `${region.file}.gone` })).toThrow(/ENOENT/);
  });

  it.each<[DType, boolean]>([
    ['f64', true],
    ['i64', false],
    ['u8', false],
  ])('of %s serves an f32 weight: %s', (dtype, fits) => {
    const [region] = stored('w', 'f32', [16]);
    const width = dtype === 'u8' ? 1 : 8;
    const bound = () => bind({ ...region, dtype, shape: [4], byteLength: 4 * width });
    if (fits) expect(bound).not.toThrow();
    else expect(bound).toThrow(DualrealError);
  });
});

describe('names and shapes', () => {
  const declared = new Map(['a', 'b', 'c'].map((name) => [name, { shape: [2, 3] }]));
  const table = new Map([
    ['b', { shape: [3, 2] }],
    ['c', { shape: [2, 3] }],
    ['d', { shape: [1] }],
  ]);

  it('are compared in full', () => {
    expect(compareWeights(declared, table)).toEqual({
      missing: ['a'],
      misshaped: ['b (expected [2, 3], file has [3, 2])'],
      extra: ['d'],
    });
    expect(() => requireWeights('here', declared, table)).toThrow(WeightsMismatchError);
    expect(() => requireWeights('here', declared, table)).toThrow(
      /missing: a; other shape: b \(.*\); not part of the model: d/,
    );
  });

  it('may have extras that the caller knows', () => {
    const complete = new Map([...declared, ['known', { shape: [1] }]]);
    expect(() => requireWeights('here', declared, complete, (name) => name === 'known')).not.toThrow();
    expect(() => requireWeights('here', declared, complete)).toThrow(/not part of the model: known/);
  });

  it('must be complete for a program', () => {
    const traced = g.program('p', { y: g.add(g.weight('a', [1]), g.weight('b', [1])) });
    expect(() => bindWeights(traced, new Map([['a', floats([1], [1])]]))).toThrow(/program p: .*missing: b/);
  });
});

describe.runIf(process.platform === 'linux')("residence 'mapped'", () => {
  it.each(['f16', 'bf16', 'f32'] as const)(
    'keeps %s weights in the memory map of their file',
    async (dtype) => {
      const program = fileURLToPath(new URL('./mapped-weights.cases.ts', import.meta.url));
      const { stdout } = await promisify(execFile)(process.execPath, [
        '--import',
        'tsx',
        program,
        folder,
        dtype,
      ]);
      const { fileBytes, ownBytes, mappedBytes } = JSON.parse(stdout) as Record<string, number>;
      expect(mappedBytes).toBeGreaterThan(0.95 * fileBytes);
      // Two of 16 layers are in use at a time, widened to f32 where they are stored narrower.
      expect(ownBytes).toBeLessThan((dtype === 'f32' ? 0.1 : 0.3) * fileBytes);
    },
  );
});
