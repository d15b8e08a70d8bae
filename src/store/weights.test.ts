import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FileFormatError } from '../tensor/errors.ts';
import { floats, type HostTensor, hostTensor, integers } from '../tensor/host-tensor.ts';
import { encodeSafetensors, writeSafetensorsFile } from '../tensor/safetensors.ts';
import { IncompleteFolderError } from './component-files.ts';
import { writePth } from './pickle/write-pth.ts';
import { openWeights } from './weights.ts';

const A = floats([2, 2], [1, 2, 3, 4]);
const B = hostTensor('bf16', [3], Uint16Array.of(1, 2, 3));
const C = integers([], [2 ** 40]);

let folder: string;
beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'dualreal-weights-')));
});
afterEach(() => rm(folder, { recursive: true }));

const save = (name: string, tensors: Record<string, HostTensor>) =>
  writeSafetensorsFile(join(folder, name), new Map(Object.entries(tensors)));
const saveIndex = (places: Record<string, string>, totalSize?: number) =>
  writeFile(
    join(folder, 'model.safetensors.index.json'),
    JSON.stringify({
      ...(totalSize === undefined ? {} : { metadata: { total_size: totalSize } }),
      weight_map: places,
    }),
  );

describe('a single file', () => {
  it('is found under each published name and read in place', async () => {
    for (const name of ['diffusion_pytorch_model', 'model', 'open_clip_model']) {
      await save(`${name}.safetensors`, { a: A, 'b.weight': B });
      const weights = await openWeights(folder);
      expect(weights.files).toEqual([join(folder, `${name}.safetensors`)]);
      expect(weights.entries.get('b.weight')).toMatchObject({
        file: weights.files[0],
        dtype: 'bf16',
        shape: [3],
        byteLength: 6,
      });
      expect(await weights.read('b.weight')).toEqual(B);
      await expect(weights.read('c')).rejects.toThrow('tensor "c"');
      await rm(join(folder, `${name}.safetensors`));
    }
  });

  it('may be named directly, by another base name, or be a pickle', async () => {
    await save('other.safetensors', { a: A });
    expect((await openWeights(join(folder, 'other.safetensors'))).entries.size).toBe(1);
    expect((await openWeights(folder, ['other'])).entries.size).toBe(1);
    await writePth(
      join(folder, 'open_clip_pytorch_model.bin'),
      new Map<string, HostTensor>([
        ['a', A],
        ['b', B],
      ]),
    );
    const weights = await openWeights(folder);
    expect([...weights.entries.keys()]).toEqual(['a', 'b']);
    expect(await weights.read('a')).toEqual(A);
  });

  it('is found through symbolic links, as in the Hugging Face cache', async () => {
    await mkdir(join(folder, 'blobs'));
    await mkdir(join(folder, 'snapshot'));
    await save('blobs/0123abcd', { a: A });
    await symlink('../blobs/0123abcd', join(folder, 'snapshot', 'model.safetensors'));
    const weights = await openWeights(join(folder, 'snapshot'));
    expect(weights.files).toEqual([join(folder, 'blobs', '0123abcd')]);
    expect(await weights.read('a')).toEqual(A);
  });

  it('is refused where there is none, where it is broken, or where an index stands beside it', async () => {
    await expect(openWeights(folder)).rejects.toThrow(IncompleteFolderError);
    await expect(openWeights(folder, ['x', 'y'])).rejects.toThrow('weights named x or y');
    await expect(openWeights(join(folder, 'nowhere'))).rejects.toThrow('got nothing');
    await writeFile(join(folder, 'model.ckpt'), '');
    await expect(openWeights(join(folder, 'model.ckpt'))).rejects.toThrow('.safetensors, .bin or .pth');
    await writeFile(join(folder, 'model.safetensors'), 'not weights at all');
    await expect(openWeights(folder)).rejects.toThrow(FileFormatError);
    await saveIndex({ a: 'x.safetensors' });
    await expect(openWeights(folder)).rejects.toThrow(
      'both model.safetensors and model.safetensors.index.json',
    );
  });
});

describe('the hash', () => {
  it('is of names, dtypes, shapes and bytes, however they are spread over files', async () => {
    const line = (name: string, { dtype, shape, data }: HostTensor) => [
      `${JSON.stringify([name, dtype, shape])}\n`,
      new Uint8Array(data.buffer),
    ];
    const sha = createHash('sha256');
    for (const part of [...line('a', A), ...line('b', B), ...line('c', C)]) sha.update(part);
    const expected = sha.digest('hex');

    await writeSafetensorsFile(
      join(folder, 'model.safetensors'),
      new Map<string, HostTensor>([
        ['c', C],
        ['b', B],
        ['a', A],
      ]),
      { note: 'x' },
    );
    expect(await (await openWeights(folder)).hash()).toBe(expected);
    await rm(join(folder, 'model.safetensors'));
    await save('one.safetensors', { b: B, c: C });
    await save('two.safetensors', { a: A });
    await saveIndex({ c: 'one.safetensors', b: 'one.safetensors', a: 'two.safetensors' }, 30);
    expect(await (await openWeights(folder)).hash()).toBe(expected);
    await writePth(
      join(folder, 'x.pth'),
      new Map<string, HostTensor>([
        ['a', A],
        ['b', B],
        ['c', C],
      ]),
    );
    expect(await (await openWeights(join(folder, 'x.pth'))).hash()).toBe(expected);

    await save('two.safetensors', { a: { ...A, shape: [4] } });
    expect(await (await openWeights(folder)).hash()).not.toBe(expected);
    await save('two.safetensors', { a: floats([2, 2], [1, 2, 3, 5]) });
    expect(await (await openWeights(folder)).hash()).not.toBe(expected);
  });
});

describe('shards', () => {
  const places = { a: 'one.safetensors', b: 'one.safetensors', c: 'two.safetensors' };
  beforeEach(async () => {
    await save('one.safetensors', { a: A, b: B });
    await save('two.safetensors', { c: C });
    await saveIndex(places, 30);
  });

  it('are joined', async () => {
    const weights = await openWeights(folder);
    expect(weights.files).toEqual([join(folder, 'one.safetensors'), join(folder, 'two.safetensors')]);
    expect(weights.entries.get('c')?.file).toBe(join(folder, 'two.safetensors'));
    expect(await weights.read('c')).toEqual(C);
    await saveIndex(places);
    expect((await openWeights(folder)).entries.size).toBe(3);
  });

  it('are joined from pickles too', async () => {
    await rename(join(folder, 'model.safetensors.index.json'), join(folder, 'index'));
    await writePth(join(folder, 'p1.bin'), new Map([['a', A]]));
    await writePth(join(folder, 'p2.bin'), new Map([['b', B]]));
    const index = JSON.stringify({ weight_map: { a: 'p1.bin', b: 'p2.bin' } });
    await writeFile(join(folder, 'pytorch_model.bin.index.json'), index);
    expect(await (await openWeights(folder)).read('b')).toEqual(B);
  });

  it('that do not fit the index are all listed in one error', async () => {
    await save('one.safetensors', { a: A, b: B, stray: A });
    await save('two.safetensors', { b: B });
    await saveIndex({ ...places, d: 'three.safetensors', e: 'four.safetensors' });
    const error = await openWeights(folder).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(IncompleteFolderError);
    expect(String(error)).toContain('missing files: three.safetensors, four.safetensors');
    expect(String(error)).toContain('not in the file the index says: c (two.safetensors)');
    expect(String(error)).toContain('tensors in two files: b (one.safetensors + two.safetensors)');
    expect(String(error)).toContain('that the index does not list: stray');
  });

  it('of another total size are refused', async () => {
    await saveIndex(places, 31);
    await expect(openWeights(folder)).rejects.toThrow('30 bytes where the index says 31');
  });

  it('that are damaged are refused by name', async () => {
    await writeFile(join(folder, 'two.safetensors'), encodeSafetensors(new Map([['c', C]])).subarray(0, -1));
    await expect(openWeights(folder)).rejects.toThrow(/two\.safetensors.*\n.*cut off/);
  });

  it.each([
    '../one.safetensors',
    '/etc/one.safetensors',
    'x/one.safetensors',
    'x\\one.safetensors',
    'C:one.safetensors',
    'one.txt',
    '',
    7,
  ])('named %j are refused: a name is not a path', async (name) => {
    await writeFile(
      join(folder, 'model.safetensors.index.json'),
      JSON.stringify({ weight_map: { a: name } }),
    );
    await expect(openWeights(folder)).rejects.toThrow('the name of a weights file in the same folder');
  });

  it.each([
    ['not JSON', '{', /valid JSON/],
    ['a list', '[]', /a JSON object/],
    ['no weight_map', '{}', /weight_map: expected a JSON object/],
    ['an empty weight_map', '{"weight_map":{}}', /expected tensors, got none/],
    ['a tensor twice', '{"weight_map":{"a":"one.safetensors","a":"two.safetensors"}}', /"a" twice/],
    [
      'a total size in words',
      '{"metadata":{"total_size":"30"},"weight_map":{"a":"one.safetensors"}}',
      /number of bytes/,
    ],
  ])('with an index that is broken are refused: %s', async (_, text, message) => {
    await writeFile(join(folder, 'model.safetensors.index.json'), text);
    await expect(openWeights(folder)).rejects.toThrow(FileFormatError);
    await expect(openWeights(folder)).rejects.toThrow(message);
  });
});
