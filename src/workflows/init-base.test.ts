import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openBase } from './base.ts';
import { initBase, initBaseRequestSchema } from './init-base.ts';
import { runWorkflow } from './workflow.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'init-base-'));
});
afterEach(() => rm(folder, { recursive: true }));

const at = (...names: string[]) => join(folder, ...names);
const make = (out: string) =>
  runWorkflow(initBase(initBaseRequestSchema.parse({ out, size: 'tiny' })), () => {});

it('writes a base that opens, whole, into a new or an empty folder', async () => {
  await mkdir(at('empty'));
  for (const name of ['bäse one', 'empty']) {
    await make(at(name));
    const base = await openBase(at(name));
    expect(base.notice).toContain('random weights');
    expect(base.sizeRule).toEqual({ pixelsPerToken: 8, temporalRatio: 4 });
  }
  expect((await readdir(folder)).sort()).toEqual(['bäse one', 'empty']);
});

it('leaves a folder with contents as it is', async () => {
  await mkdir(at('used'));
  await writeFile(at('used', 'mine.txt'), 'mine');
  await expect(make(at('used'))).rejects.toThrow('expected a new or empty folder');
  expect(await readdir(at('used'))).toEqual(['mine.txt']);
});

it('a base whose parts do not fit is refused with everything that is wrong, by name', async () => {
  await make(at('base'));
  await change('transformer', { num_layers: 3 });
  await change('vae', { latent_channels: 8 });
  await change('text_encoder', { d_model: 128 });
  const error = await openBase(at('base')).then(
    () => undefined,
    (thrown: Error) => thrown,
  );
  for (const part of [
    'transformer: expected exactly',
    'transformer_blocks.2.attn1.to_q.weight',
    'vae: expected exactly',
    'decoder.conv_in.conv.weight (expected [8, 8, 3, 3, 3], file has [8, 4, 3, 3, 3])',
    'text_encoder: expected exactly',
    'transformer in_channels is 4, but vae latent_channels is 8',
    'transformer text_embed_dim is 64, but text_encoder d_model is 128',
  ]) {
    expect(error?.message).toContain(part);
  }
});

async function change(part: string, fields: object): Promise<void> {
  const path = at('base', part, 'config.json');
  const config = JSON.parse(await readFile(path, 'utf8')) as object;
  await writeFile(path, JSON.stringify({ ...config, ...fields }));
}
