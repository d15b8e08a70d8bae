/**
 * Whether motion fidelity tells motions apart: each reference clip of the universe's held-out motions is given to the
 * motion of the clip that it is most alike, itself left out. Prints one JSON line per split. Needs the atlas; `dualreal
 * toybox preview` makes it. `npm run bench -- motion-fidelity`.
 */
import {
  consecutivePairs,
  createFarnebackFlow,
  type Frames,
  type Trajectories,
  trackPoints,
  trajectoryCorrelation,
} from '../src/evaluation/index.ts';
import { createReferences } from '../src/toybox/universe/evaluation.ts';

const FRAMES = 17;
const SIDE = 64;
const flow = createFarnebackFlow();
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

for (const split of ['development', 'evaluation'] as const) {
  const references = createReferences({ seed: 1, split, frames: FRAMES, stage: 2 });
  const motions = references.catalogue.castings.map(({ motion }) => motion.id);
  const clips: { readonly motion: string; readonly trajectories: Trajectories }[] = [];
  for (const motion of motions) {
    for (const clip of references.clips(motion)) {
      const data = Uint8Array.from(clip.frames);
      const frames: Frames = { dtype: 'u8', shape: [FRAMES, SIDE, SIDE, 3], data };
      const flows = await flow.estimate(frames, consecutivePairs(FRAMES));
      clips.push({ motion, trajectories: trackPoints(flows) });
    }
  }
  let right = 0;
  const own: number[] = [];
  const other: number[] = [];
  for (const clip of clips) {
    const best = new Map(motions.map((motion) => [motion, Number.NEGATIVE_INFINITY]));
    for (const { motion, trajectories } of clips.filter((each) => each !== clip)) {
      const alike = trajectoryCorrelation(clip.trajectories, trajectories);
      best.set(motion, Math.max(best.get(motion)!, alike));
    }
    for (const [motion, alike] of best) (motion === clip.motion ? own : other).push(alike);
    if (best.get(clip.motion) === Math.max(...best.values())) right++;
  }
  const two = (value: number) => Number(value.toFixed(2));
  console.log(
    JSON.stringify({
      bench: 'motion-fidelity',
      split,
      motions: motions.length,
      clips: clips.length,
      sameMotion: two(mean(own)),
      otherMotion: two(mean(other)),
      nearestHasSameMotion: two(right / clips.length),
      byChance: two(1 / motions.length),
    }),
  );
}
