/**
 * The README's picture of a finished demo: `npx tsx scripts/make-demo-results.ts runs/demo-1`. Every video of the
 * run's report, customized above the base's own, as it is.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { cellsOfVideo, decodeVideo, writeContactSheet } from '../src/media/index.ts';
import { DEMO_PROMPTS } from '../src/workflows/demo.ts';

const FRAMES = 9;
const SHEET_CELL = 96;

const run = process.argv[2];
if (!run) throw new Error('name the run of a finished demo, such as runs/demo-1');
const folder = join(run, 'report', 'videos');
const names = (await readdir(folder)).filter((file) => file.endsWith('.mp4')).sort();
const rows = await Promise.all(
  names.map(async (name) => {
    const { frames } = await decodeVideo(join(folder, name));
    const scene = DEMO_PROMPTS[Number.parseInt(name, 10) - 1].replace(/^.*sideways /, '');
    const label = name.includes('plain') ? 'base alone' : scene;
    return { label, cells: cellsOfVideo(frames, FRAMES).map(({ image }) => ({ image })) };
  }),
);
const target = fileURLToPath(new URL('../docs/images/demo-results.png', import.meta.url));
await writeContactSheet(target, rows, { cellWidth: SHEET_CELL });
