import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  absoluteBase,
  baseOfAdapter,
  EMBEDDED_BASE_FOLDER,
  EmbeddedBaseError,
  locateBase,
} from './base-location.ts';
import { generateRequestSchema } from './generate-request.ts';
import * as train from './train-request.ts';

const started = process.cwd();
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'base-location-'));
  process.chdir(folder);
});
afterEach(async () => {
  process.chdir(started);
  await rm(folder, { recursive: true });
});

async function makeIndex(...names: string[]): Promise<string> {
  const base = join(folder, ...names);
  await mkdir(base, { recursive: true });
  await writeFile(join(base, 'model_index.json'), '{}');
  return base;
}

it('the word is the embedded base, in any folder; everything else is a path', async () => {
  const embedded = await makeIndex('installed', 'weights');
  expect(locateBase('toybox', embedded)).toEqual({ folder: embedded, notice: undefined });
  for (const path of ['./toybox', 'models/toybox', 'Toybox', '/toybox']) {
    expect(locateBase(path, embedded).folder).toBe(path);
    expect(absoluteBase(path)).toBe(resolve(path));
  }
  expect(absoluteBase('toybox')).toBe('toybox');
  expect(['toybox', 'CogVideoX-5b', null].map(baseOfAdapter)).toEqual(['toybox', undefined, undefined]);
});

it('the embedded base lies in the project', () => {
  expect(EMBEDDED_BASE_FOLDER).toBe(join(started, 'weights', 'toybox'));
});

it('a folder of the same name is not passed over silently', async () => {
  const embedded = await makeIndex('weights');
  await mkdir(join(folder, 'toybox'));
  expect(locateBase('toybox', embedded).notice).toBeUndefined();
  await makeIndex('toybox');
  expect(locateBase('toybox', embedded)).toMatchObject({
    folder: embedded,
    notice: expect.stringContaining('write ./toybox'),
  });
  expect(locateBase('./toybox', embedded).notice).toBeUndefined();
});

it('says what to do while the embedded base is not whole, or not there', async () => {
  await mkdir(join(folder, 'weights'));
  const locate = (name: string) => () => locateBase('toybox', join(folder, name));
  expect(locate('weights')).toThrow(EmbeddedBaseError);
  expect(locate('weights')).toThrow(/base toybox.*without a transformer.*dualreal base init/s);
  expect(locate('nowhere')).toThrow('no folder');
});

it('is what training takes by default; requests keep the word', () => {
  const request = train.trainRequestSchema.parse({ subject: ['a'], motion: ['b'], out: 'c' });
  expect(train.withAbsolutePaths(request)).toMatchObject({ base: 'toybox', out: resolve('c') });
  expect(generateRequestSchema.parse({ prompts: ['a'] }).base).toBeUndefined();
});
