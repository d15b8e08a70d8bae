import type { Runtime } from '../../runtime/index.ts';
import { createUniverse, type RenderedClip } from '../universe/universe.ts';
import { openClipEmbedders } from './clip-embedders.ts';
import { EMBEDDING_DIM, SIDE } from './configs.ts';
import { meanRows, nearest, share } from './retrieval.ts';
import type { TensorTable } from './task.ts';

const FRAME_BYTES = SIDE * SIDE * 3;
/** Frames of a clip whose mean embedding stands for it. */
const JUDGED_FRAMES = [0, 4, 8];
const CLIPS_PER_SET = 100;

export interface ClipScore extends Readonly<Record<string, number>> {
  /** Share of clips whose own caption is the nearest of 100. */
  readonly captionOfClip: number;
  /** Share of captions whose own clip is the nearest of 100. */
  readonly clipOfCaption: number;
}

/**
 * Caption ↔ clip retrieval among sets of 100 clips of (subject, motion, scene) triples that never enter
 * pretraining; mean over the sets.
 */
export async function openClipJudge(
  runtime: Runtime,
  cacheFolder: string,
  sets = 3,
): Promise<(weights: TensorTable) => Promise<ClipScore>> {
  const embeddersOf = await openClipEmbedders(runtime);
  const universe = createUniverse({ seed: 1, split: 'combinations', frames: 9, stage: 2, cacheFolder });
  return async (weights) => {
    const { images, texts } = embeddersOf(weights);
    const scores: ClipScore[] = [];
    for (let set = 0; set < sets; set++) {
      const clips = Array.from({ length: CLIPS_PER_SET }, (_, i) => universe.render(set * CLIPS_PER_SET + i));
      const rows = await images(judgedFrames(clips));
      const clipRows = meanRows(rows, EMBEDDING_DIM, JUDGED_FRAMES.length);
      const captionRows = await texts(clips.map(({ caption }) => caption));
      // Clips of the same caption are one answer.
      const hits = (found: readonly number[]) =>
        share(found.map((at, i) => clips[at].caption === clips[i].caption));
      scores.push({
        captionOfClip: hits(nearest(clipRows, captionRows, EMBEDDING_DIM)),
        clipOfCaption: hits(nearest(captionRows, clipRows, EMBEDDING_DIM)),
      });
    }
    const mean = (key: keyof ClipScore) => scores.reduce((sum, score) => sum + score[key], 0) / sets;
    return { captionOfClip: mean('captionOfClip'), clipOfCaption: mean('clipOfCaption') };
  };
}

function judgedFrames(clips: readonly RenderedClip[]): Uint8Array {
  const out = new Uint8Array(clips.length * JUDGED_FRAMES.length * FRAME_BYTES);
  for (const [i, { frames }] of clips.entries()) {
    for (const [k, frame] of JUDGED_FRAMES.entries()) {
      const from = frames.subarray(frame * FRAME_BYTES, (frame + 1) * FRAME_BYTES);
      out.set(from, (i * JUDGED_FRAMES.length + k) * FRAME_BYTES);
    }
  }
  return out;
}
