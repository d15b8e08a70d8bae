import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, expect, it } from 'vitest';
import { movingDisc } from '../../test/media-samples.ts';
import { type HostTensor, zeros } from '../tensor/host-tensor.ts';
import { cellsOfVideo, renderContactSheet, writeContactSheet } from './contact-sheet.ts';
import { decodePhoto } from './decode.ts';
import { MediaError } from './errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualreal-sheet-'));
afterAll(() => rmSync(folder, { recursive: true }));

const plain = (value: number): HostTensor<'u8'> => {
  const image = zeros('u8', [20, 30, 3]);
  image.data.fill(value);
  return image;
};

it('places pictures in rows and columns', async () => {
  const path = join(folder, 'sheet.png');
  await writeContactSheet(path, [
    { cells: [{ image: plain(10) }, { image: plain(60) }] },
    { cells: [{ image: plain(110) }] },
  ]);
  const { image, width, height } = await decodePhoto(path);
  expect([width, height]).toEqual([8 + 2 * 38, 8 + 2 * 28]);
  const value = (y: number, x: number) => image.data[(y * width + x) * 3];
  expect([value(18, 20), value(18, 60), value(46, 20), value(46, 60)]).toEqual([10, 60, 110, 255]);
  expect(readdirSync(folder)).toEqual(['sheet.png']);
});

it('writes labels and titles, whatever characters they hold', async () => {
  const cells = [{ image: plain(128) }];
  const without = await renderContactSheet('sheet', [{ cells }]);
  const hostile = `</text><image href="file:///etc/passwd"/> & "<>' \u0000\u0007 ${'long '.repeat(50)}`;
  const labelled = await renderContactSheet(
    'sheet',
    [{ label: hostile, cells: [{ image: plain(128), label: 'frame 0' }] }],
    {
      title: hostile,
    },
  );
  const [plainFacts, labelledFacts] = await Promise.all(
    [without, labelled].map((png) => sharp(png).metadata()),
  );
  expect(labelledFacts.height).toBeGreaterThan(plainFacts.height);
  const { data, info } = await sharp(labelled).greyscale().raw().toBuffer({ resolveWithObject: true });
  const dark = (top: number, bottom: number) =>
    data.subarray(top * info.width, bottom * info.width).filter((value) => value < 100).length;
  expect(dark(0, 34)).toBeGreaterThan(20);
});

it('chooses frames evenly, first and last included', () => {
  const frames = movingDisc(49, 8, 8);
  const labels = (cells: number) => cellsOfVideo(frames, cells).map(({ label }) => label);
  expect(labels(5)).toEqual(['frame 0', 'frame 12', 'frame 24', 'frame 36', 'frame 48']);
  expect(labels(1)).toEqual(['frame 0']);
  expect(labels(100)).toHaveLength(49);
  expect(cellsOfVideo(frames, 2)[1].image.data).toEqual(frames.data.slice(48 * 8 * 8 * 3));
});

it('refuses sheets of nothing and sheets beyond measure', async () => {
  await expect(renderContactSheet('sheet', [])).rejects.toThrow(MediaError);
  await expect(
    renderContactSheet('sheet', [{ cells: [{ image: plain(1) }] }], { cellWidth: 50_000 }),
  ).rejects.toThrow(/at most/);
});
