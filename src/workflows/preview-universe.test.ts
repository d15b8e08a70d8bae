import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CancelledError } from '../tensor/errors.ts';
import { buildAtlas } from '../toybox/universe/atlas-build.ts';
import { DRAWN_ART } from '../toybox/universe/drawn-art.fixture.ts';
import { previewUniverse, previewUniverseRequestSchema } from './preview-universe.ts';
import { runWorkflow, type WorkflowEvent } from './workflow.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'toybox-preview-'));
  await buildAtlas(DRAWN_ART, join(folder, 'toybox-atlas'));
});
afterAll(() => rm(folder, { recursive: true }));

const request = (out: string) =>
  previewUniverseRequestSchema.parse({ out: join(folder, out), cacheFolder: folder, clips: 3, frames: 5 });

it('writes a sheet for each page and tells of each', async () => {
  const events: WorkflowEvent[] = [];
  const { sheets } = await runWorkflow(previewUniverse(request('sheets'), {}), (event) => {
    events.push(event);
  });
  expect((await readdir(join(folder, 'sheets'))).map((name) => join(folder, 'sheets', name)).sort()).toEqual(
    [...sheets].sort(),
  );
  expect(events.filter(({ type }) => type === 'artifact')).toHaveLength(sheets.length);
  const { width, height } = await sharp(sheets[0]).metadata();
  // Five frames of 128 pixels beside the captions, three rows.
  expect(width).toBeGreaterThan(400 + 5 * 128);
  expect(height).toBeGreaterThan(3 * 128);
});

it('stops when cancelled, with no sheet', async () => {
  const running = runWorkflow(previewUniverse(request('none'), { signal: AbortSignal.abort() }), () => {});
  await expect(running).rejects.toThrow(CancelledError);
  expect(await readdir(join(folder, 'none'))).toEqual([]);
});
