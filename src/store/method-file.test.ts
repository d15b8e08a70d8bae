import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DUALREAL_PRESETS } from '../methods/dualreal/index.ts';
import { METHOD_NAMES, openMethod } from '../methods/index.ts';
import { randomTensor, tinyConfig } from '../methods/trial.cases.ts';
import { floats } from '../tensor/host-tensor.ts';
import { writeSafetensorsFile } from '../tensor/safetensors.ts';
import { readMethodFile, requireMethodFits, writeMethodFile } from './method-file.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dualreal-method-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const dualreal = { options: { ...DUALREAL_PRESETS.clean, bottleneck: 8, conditionDim: 12, groups: 2 } };
const contentsOf = (name: (typeof METHOD_NAMES)[number]) => {
  const method = openMethod(name, name === 'dualreal' ? dualreal : {});
  const tensors = new Map(
    [...method.parameters(tinyConfig)].map(([parameter, { shape }]) => [
      parameter,
      randomTensor(parameter, shape),
    ]),
  );
  const base = { name: 'tiny', hash: 'abc' };
  return { method, config: tinyConfig, tensors, base, record: { stages: [{ name: 'one', steps: 3 }] } };
};

it.each(METHOD_NAMES)('%s comes back as it was written', async (name) => {
  const contents = contentsOf(name);
  const path = join(folder, `${name}.safetensors`);
  await writeMethodFile(path, contents);
  const file = await readMethodFile(path);
  expect(file.tensors).toEqual(contents.tensors);
  expect([...file.tensors.keys()]).toEqual([...contents.tensors.keys()]);
  expect(JSON.stringify(file.method)).toBe(JSON.stringify(contents.method));
  expect(file.header).toMatchObject({ base: contents.base, record: contents.record });
  expect(requireMethodFits(file, tinyConfig, 'abc')).toEqual([]);
  expect(requireMethodFits(file, tinyConfig, 'other').join()).toMatch(/another base \(tiny\)/);
  expect(() => requireMethodFits(file, { ...tinyConfig, blocks: 6 })).toThrow(/transformer_blocks\.5/);
});

it('refuses an incomplete set and NaN, and leaves nothing behind', async () => {
  const contents = contentsOf('lora');
  const before = await readdir(folder);
  const path = join(folder, 'bad.safetensors');
  const [first, ...rest] = contents.tensors;
  await expect(writeMethodFile(path, { ...contents, tensors: new Map(rest) })).rejects.toThrow(first[0]);
  const [name, { shape, data }] = first;
  const bad = new Map([
    ...contents.tensors,
    [
      name,
      floats(
        shape,
        data.map(() => Number.NaN),
      ),
    ],
  ]);
  await expect(writeMethodFile(path, { ...contents, tensors: bad })).rejects.toThrow(/finite/);
  expect(await readdir(folder)).toEqual(before);
});

it('refuses files that do not say how they were trained, or say it in a way that is not understood', async () => {
  const path = join(folder, 'foreign.safetensors');
  const tensors = new Map([['x', floats([1], [1])]]);
  await writeSafetensorsFile(path, tensors);
  await expect(readMethodFile(path)).rejects.toThrow(/how the tensors were trained/);
  const header = { version: 2, method: 'lora', options: {}, base: { name: null, hash: null }, record: {} };
  await writeSafetensorsFile(path, tensors, { 'dualreal-method': JSON.stringify(header) });
  await expect(readMethodFile(path)).rejects.toThrow(/version/);
  const unknown = { ...header, version: 1, options: { speed: 1 } };
  await writeSafetensorsFile(path, tensors, { 'dualreal-method': JSON.stringify(unknown) });
  await expect(readMethodFile(path)).rejects.toThrow(/speed/);
});
