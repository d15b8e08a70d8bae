import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { encodePhoto, encodeVideo } from '../media/index.ts';
import { writeFileAtomic } from '../tensor/atomic-file.ts';
import { throwIfCancelled } from '../tensor/errors.ts';
import { createReferences, evaluationCases } from '../toybox/universe/evaluation.ts';
import { createUniverse, openUniverseAtlas, type RenderedClip } from '../toybox/universe/universe.ts';
import type { BenchCase, BenchPlan } from './plan.ts';
import type { BenchRequest } from './request.ts';

const SIDE = 64;
const FPS = 8;
/** Captioned clips of anything, for MotionBooth. */
const GENERIC_CLIPS = 16;

/** Where the universe's photos and clips lie, inside the benchmark's folder. */
const REFERENCES = 'references';

/** All held-out subjects with all held-out motions, in an order of which any prefix is a fair sample. */
export function universeCases({ seed, split }: Pick<BenchRequest, 'seed' | 'split'>): BenchCase[] {
  return evaluationCases({ seed, split }).map(({ subject, motion, prompts }) => ({
    id: `${subject.id}-${motion.id}`,
    subject: subject.id,
    motion: motion.id,
    photos: join(REFERENCES, 'photos', subject.id),
    clips: join(REFERENCES, 'clips', motion.id),
    subjectWord: subject.classWord,
    classWord: subject.classWord,
    prompts: [...new Set(prompts.map(({ text }) => text))],
  }));
}

export const UNIVERSE_GENERIC = join(REFERENCES, 'generic');

/** Which art the universe is rendered from; throws where it has not been installed. */
export function universeArtHash(artCache: string): string {
  return openUniverseAtlas(artCache).contentHash;
}

/** Renders the photos and clips that a case learns from, where that has not been done. */
export async function renderReferences(
  folder: string,
  plan: BenchPlan,
  { subject, motion, photos, clips }: BenchCase,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { seed, split, artCache } = plan.request;
  const wanted = [photos, clips, UNIVERSE_GENERIC].filter((name) => !existsSync(join(folder, name)));
  if (wanted.length === 0) return;
  const atlas = openUniverseAtlas(artCache);
  const references = createReferences({ seed, split, frames: plan.frames, atlas });
  const render: Readonly<Record<string, () => readonly RenderedClip[]>> = {
    [photos]: () => references.photos(subject),
    [clips]: () => references.clips(motion),
    [UNIVERSE_GENERIC]: () => {
      const universe = createUniverse({ seed, split: 'pretraining', frames: plan.frames, atlas });
      return Array.from({ length: GENERIC_CLIPS }, (_, index) => universe.render(index));
    },
  };
  for (const name of wanted) {
    await wholeFolder(join(folder, name), async (half) => {
      for (const [index, rendered] of render[name]().entries()) {
        throwIfCancelled(signal, 'rendering');
        await writeClip(join(half, String(index).padStart(2, '0')), rendered);
      }
    });
  }
}

/** A picture as PNG with its subject's mask, a clip as mp4 near to lossless; their captions beside them. */
async function writeClip(path: string, { frames, mask, caption }: RenderedClip): Promise<void> {
  const count = frames.length / (SIDE * SIDE * 3);
  if (count === 1) {
    const shape = [SIDE, SIDE, 3];
    await encodePhoto(`${path}.png`, { dtype: 'u8', shape, data: frames });
    const grey = Uint8Array.from({ length: frames.length }, (_, i) => mask[Math.floor(i / 3)]);
    await encodePhoto(`${path}.mask.png`, { dtype: 'u8', shape, data: grey });
  } else {
    const clip = { dtype: 'u8', shape: [count, SIDE, SIDE, 3], data: frames } as const;
    await encodeVideo(`${path}.mp4`, clip, { fps: FPS, crf: 4 });
  }
  await writeFileAtomic(`${path}.txt`, `${caption}\n`);
}

/** Fills a folder that appears whole or not at all. */
async function wholeFolder(path: string, fill: (half: string) => Promise<void>): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const half = await mkdtemp(join(dirname(path), '.dualreal-half-'));
  try {
    await fill(half);
    await rename(half, path);
  } catch (error) {
    await rm(half, { recursive: true, force: true });
    throw error;
  }
}
