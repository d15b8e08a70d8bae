import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { throwIfCancelled } from '../tensor/errors.ts';
import { type Atlas, AtlasError } from '../toybox/universe/atlas.ts';
import { createReferences, evaluationCases } from '../toybox/universe/evaluation.ts';
import { openEvaluationFiles } from '../toybox/universe/evaluation-files.ts';
import { numberedName, writeRendering } from '../toybox/universe/reference-files.ts';
import { createUniverse, openUniverseAtlas, type RenderedClip } from '../toybox/universe/universe.ts';
import { BenchmarkError } from './benchmark-error.ts';
import type { BenchCase, BenchPlan } from './plan.ts';
import type { BenchRequest } from './request.ts';

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

/** What the numbers of the universe's cases depend on, besides the base. */
export interface UniverseHashes {
  /** Of the photos and clips that come with dualreal. */
  readonly filesHash?: string;
  /** Of the art, where something is rendered: cases for tuning, lessons of the motion classifier. */
  readonly artHash?: string;
}

type Asked = Pick<BenchRequest, 'benchmark' | 'split' | 'artCache'>;

/**
 * Looks at everything that will be read, before anything is trained.
 * @throws {BenchmarkError} where art is needed and not installed.
 */
export async function universeHashes({ benchmark, split, artCache }: Asked): Promise<UniverseHashes> {
  const isShipped = split === 'evaluation';
  const isRendered = !isShipped || benchmark === 'customization';
  return {
    ...(isShipped && { filesHash: (await openEvaluationFiles()).hash }),
    ...(isRendered && { artHash: openArt({ benchmark, split, artCache }).contentHash }),
  };
}

/** The clips that come with dualreal have a length; rendered ones have any. */
export async function requireEnoughFrames({ split }: Pick<Asked, 'split'>, frames: number): Promise<void> {
  if (split !== 'evaluation') return;
  const { index } = await openEvaluationFiles();
  if (frames <= index.frames) return;
  throw new BenchmarkError({
    where: 'cases of the evaluation split',
    expected: `videos of at most ${index.frames} frames, as the clips that come with dualreal have`,
    got: `${frames}`,
    hint: `use --frames ${index.frames}, --split development, or clips of your own with --manifest`,
  });
}

function openArt({ benchmark, split, artCache }: Asked): Atlas {
  try {
    return openUniverseAtlas(artCache);
  } catch (cause) {
    if (!(cause instanceof AtlasError)) throw cause;
    const what =
      split === 'development'
        ? 'photos and clips of the development split'
        : 'lessons of the motion classifier';
    throw new BenchmarkError({
      where: split === 'development' ? `bench ${benchmark} --split development` : `bench ${benchmark}`,
      expected: `the universe's art, which ${what} are rendered from`,
      got: `none that can be used in ${artCache}`,
      hint: 'install it (750 MB) with: dualreal toybox preview; tables and figures of the evaluation split need none',
      cause,
    });
  }
}

/**
 * Lays the photos and clips that a case learns from into the benchmark's folder, where that has not been done: those
 * that come with dualreal, whether art is installed or not, or renderings of the development split.
 */
export async function placeReferences(
  folder: string,
  plan: BenchPlan,
  { subject, motion, photos, clips }: BenchCase,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { seed, split } = plan.request;
  const wanted = [photos, clips, UNIVERSE_GENERIC].filter((name) => !existsSync(join(folder, name)));
  if (wanted.length === 0) return;
  if (split === 'evaluation') {
    const shipped = await openEvaluationFiles();
    for (const name of wanted) {
      throwIfCancelled(signal, 'copying photos and clips');
      const from = join(shipped.folder, relative(REFERENCES, name));
      await wholeFolder(join(folder, name), (half) => cp(from, half, { recursive: true }));
    }
    return;
  }
  const atlas = openArt(plan.request);
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
        await writeRendering(join(half, numberedName(index)), rendered);
      }
    });
  }
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
