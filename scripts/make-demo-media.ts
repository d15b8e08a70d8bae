/**
 * Renders demo/: photos of a held-out subject and clips of a held-out motion, with the art's licences, and the
 * sheets of them in docs/images/.
 * Needs the art of the toybox universe, which `dualreal toybox preview` installs.
 */
import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cellsOfVideo, decodePhoto, decodeVideo, writeContactSheet } from '../src/media/index.ts';
import { writeFileAtomic } from '../src/tensor/atomic-file.ts';
import { openPackageArt } from '../src/toybox/art/package-art.ts';
import { createReferences } from '../src/toybox/universe/evaluation.ts';
import { noticeEntries, noticeText } from '../src/toybox/universe/notice.ts';
import { writeReferenceFiles } from '../src/toybox/universe/reference-files.ts';
import { DEFAULT_CACHE_FOLDER } from '../src/toybox/universe/universe.ts';

const SUBJECT = 'fox';
const MOTION = 'hop';
const FRAMES = 9;
/** Width of a picture on the sheets. */
const SHEET_CELL = 96;
/** The demo's prompts name these (DEMO_PROMPTS in src/workflows/demo.ts). */
const PROMPTED_SCENES = ['forest', 'meadow', 'sea', 'ballroom'];

const demo = fileURLToPath(new URL('../demo', import.meta.url));
const references = createReferences({
  seed: 1,
  split: 'evaluation',
  frames: FRAMES,
  cacheFolder: DEFAULT_CACHE_FOLDER,
});
const { contents } = await writeReferenceFiles(references, demo, {
  subjects: [SUBJECT],
  motions: [MOTION],
  withoutScenes: PROMPTED_SCENES,
});
for (const [made, name] of [
  [SUBJECT, 'subject'],
  [MOTION, 'motion'],
]) {
  await rm(join(demo, name), { recursive: true, force: true });
  await rename(join(demo, made), join(demo, name));
}
const art = await openPackageArt(join(DEFAULT_CACHE_FOLDER, 'toybox-art'));
await writeFileAtomic(join(demo, 'NOTICE.txt'), `${noticeText(noticeEntries(contents, art))}\n`);

const filesOf = async (name: string, ending: string) =>
  (await readdir(join(demo, name)))
    .filter((file) => file.endsWith(ending) && !file.endsWith('.mask.png'))
    .sort()
    .map((file) => join(demo, name, file));
const images = fileURLToPath(new URL('../docs/images', import.meta.url));
const photos = await Promise.all((await filesOf('subject', '.png')).map((file) => decodePhoto(file)));
const photoRow = { cells: photos.map(({ image }) => ({ image })) };
await writeContactSheet(join(images, 'demo-subject.png'), [photoRow], { cellWidth: SHEET_CELL });
const clips = await Promise.all((await filesOf('motion', '.mp4')).map((file) => decodeVideo(file)));
const clipRows = clips.map(({ frames }) => ({
  cells: cellsOfVideo(frames, FRAMES).map(({ image }) => ({ image })),
}));
await writeContactSheet(join(images, 'demo-motion.png'), clipRows, { cellWidth: SHEET_CELL });
