/**
 * Renders evaluation/: photos and clips of all held-out subjects and motions, with the art's licences.
 * Needs the art of the toybox universe, which `dualreal toybox preview` installs.
 */
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeFileAtomic } from '../src/tensor/atomic-file.ts';
import { openPackageArt } from '../src/toybox/art/package-art.ts';
import { writeEvaluationFiles } from '../src/toybox/universe/evaluation-files.ts';
import { noticeEntries, noticeText } from '../src/toybox/universe/notice.ts';
import { contentOf } from '../src/toybox/universe/reference-files.ts';
import { DEFAULT_CACHE_FOLDER, openUniverseAtlas } from '../src/toybox/universe/universe.ts';

const evaluation = fileURLToPath(new URL('../evaluation', import.meta.url));
const half = `${evaluation}.half`;
await rm(half, { recursive: true, force: true });
const { files } = await writeEvaluationFiles(half, openUniverseAtlas(DEFAULT_CACHE_FOLDER));
const contents = files.map(({ subject, motion, scene }) => contentOf({ labels: { subject, motion, scene } }));
const art = await openPackageArt(join(DEFAULT_CACHE_FOLDER, 'toybox-art'));
await writeFileAtomic(join(half, 'NOTICE.txt'), `${noticeText(noticeEntries(contents, art))}\n`);
await rm(evaluation, { recursive: true, force: true });
await rename(half, evaluation);
