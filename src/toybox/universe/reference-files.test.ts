import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { decodePhoto, decodeVideo } from '../../media/index.ts';
import { DRAWN_ART, drawnAtlas } from './drawn-art.fixture.ts';
import { createReferences } from './evaluation.ts';
import { noticeEntries, noticeText } from './notice.ts';
import { writeReferenceFiles } from './reference-files.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'toybox-references-'));
});
afterAll(() => rm(folder, { recursive: true }));

it('writes photos and clips with their captions, and says what art they show', async () => {
  const references = createReferences({ seed: 1, split: 'development', frames: 9, atlas: drawnAtlas() });
  const request = { subjects: ['banjo'], motions: ['climb'] };
  const { files, contents } = await writeReferenceFiles(references, folder, request);
  const photos = references.photos('banjo');
  const clips = references.clips('climb');
  expect(files).toHaveLength(3 * photos.length + 2 * clips.length);

  const { image } = await decodePhoto(join(folder, 'banjo/00.png'));
  expect(Buffer.compare(image.data, photos[0].frames)).toBe(0);
  const mask = (await decodePhoto(join(folder, 'banjo/00.mask.png'))).image.data.filter(
    (_, i) => i % 3 === 0,
  );
  expect(Buffer.compare(mask, photos[0].mask)).toBe(0);
  expect(await readFile(join(folder, 'banjo/00.txt'), 'utf8')).toBe(`${photos[0].caption}\n`);

  const { frames } = await decodeVideo(join(folder, 'climb/00.mp4'));
  expect(frames.shape).toEqual([9, 64, 64, 3]);
  const error = frames.data.reduce((sum, value, i) => sum + Math.abs(value - clips[0].frames[i]), 0);
  // Chroma is stored at half the size: single pixels differ, the mean hardly.
  expect(error / frames.data.length).toBeLessThan(4);

  const entries = noticeEntries(contents, DRAWN_ART);
  const named = entries.map((entry) => entry.file);
  expect(named).toContain('assets/1fa95.webp');
  expect(named.filter((file) => file.startsWith('assets/1f9d7'))).toHaveLength(clips.length);
  expect(new Set(named).size).toBe(named.length);
  expect(entries.find((entry) => entry.package === '@pmndrs/assets')?.licence).toBe('CC0-1.0');
  const text = noticeText(entries);
  expect(text.match(/^@lobehub\/fluent-emoji-3d 1\.1\.0 \(MIT\):$/gm)).toHaveLength(1);
});

it('leaves out scenes that prompts will name', async () => {
  const references = createReferences({ seed: 1, split: 'development', frames: 9, atlas: drawnAtlas() });
  const { scene } = references.photos('banjo')[0].labels;
  const request = { subjects: ['banjo'], motions: ['climb'], withoutScenes: [scene] };
  const { contents } = await writeReferenceFiles(references, join(folder, 'fewer'), request);
  expect(contents.length).toBeGreaterThan(0);
  expect(contents.map((content) => content.scene.id)).not.toContain(scene);
});
