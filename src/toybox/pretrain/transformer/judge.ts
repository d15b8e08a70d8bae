import type { Runtime } from '../../../runtime/index.ts';
import { randomStream } from '../../../tensor/random.ts';
import type { Stage } from '../../universe/motions.ts';
import type { ClipDescription } from '../../universe/plan.ts';
import { createUniverse } from '../../universe/universe.ts';
import { openClipEmbedders } from '../clip-embedders.ts';
import { EMBEDDING_DIM } from '../configs.ts';
import { meanRows, nearest, share } from '../retrieval.ts';
import type { TensorTable } from '../task.ts';
import type { BaseParts } from './base-parts.ts';
import { trainMotionClassifier } from './motion-classifier.ts';
import { motionFeatures } from './motion-features.ts';
import { openScrambler, SCRAMBLED_EVERY } from './scrambler.ts';
import { type SubjectFinder, trainSubjectFinder } from './subject-finder.ts';

const CANDIDATES = 50;
/** Clips whose frames are embedded at a time. */
const PIECE = 50;

/** Shares of clips whose scene, subject (of 50) and motion are recognised. */
export interface TransformerScore {
  readonly scene: number;
  readonly subject: number;
  readonly motion: number;
}

/** Of the clips that were to show a motion: how many were taken for it, and what the others were taken for. */
export interface MotionRecall {
  readonly motion: string;
  readonly clips: number;
  readonly right: number;
  /** By id, the most frequent first. */
  readonly takenFor: readonly { readonly motion: string; readonly clips: number }[];
}

export interface Judgement extends TransformerScore {
  /** Share of motions that are told from first frames alone, held still: what subjects and places give away. */
  readonly still: number;
  /** Every motion that was wanted, in the catalogue's order. */
  readonly motions: readonly MotionRecall[];
}

/** Clips that teach where the subject is. */
const FINDER_LESSONS = 800;

export interface TransformerJudge {
  /** What the judged clips are to show: unseen combinations whose captions name the subject. */
  readonly wanted: readonly ClipDescription[];
  /** The same combinations, rendered. */
  real(): Uint8Array[];
  judge(clips: readonly Uint8Array[]): Promise<Judgement>;
}

/**
 * Recognises what clips show. Scene: the nearest in CLIP of the captions that differ in the scene alone.
 * Subject: likewise among 50, the right one and 49 others. Motion: a perceptron on {@link motionFeatures},
 * trained on rendered clips of pretraining, some of them with broken texture too (see {@link openScrambler}), among
 * all its motions.
 */
export async function openTransformerJudge(
  runtime: Runtime,
  clipWeights: TensorTable,
  parts: Pick<BaseParts, 'vae' | 'vaeWeights'>,
  options: {
    readonly cacheFolder: string;
    readonly stage: Stage;
    readonly frames: number;
    readonly samples: number;
    readonly trainingClips: number;
  },
): Promise<TransformerJudge> {
  const { samples, trainingClips, ...shared } = options;
  const { frames } = options;
  const { images, texts } = (await openClipEmbedders(runtime))(clipWeights);
  const unseen = createUniverse({ ...shared, seed: 6, split: 'combinations' });
  const indices: number[] = [];
  for (let index = 0; indices.length < samples; index++) {
    const { caption, subject } = unseen.describe(index);
    if (caption.includes(subject.phrase)) indices.push(index);
  }
  const wanted = indices.map((index) => unseen.describe(index));
  const { scenes, castings } = unseen.catalogue;
  const everyone = [
    ...new Map(castings.flatMap(({ performers }) => performers).map((one) => [one.id, one])).values(),
  ];
  const motions = castings.map(({ motion }) => motion.id);

  const rowsOf = async (clips: readonly Uint8Array[]) => {
    const rows: Float32Array[] = [];
    for (let from = 0; from < clips.length; from += PIECE) {
      const piece = clips.slice(from, from + PIECE);
      const joined = new Uint8Array(piece.reduce((sum, clip) => sum + clip.length, 0));
      let at = 0;
      for (const clip of piece) {
        joined.set(clip, at);
        at += clip.length;
      }
      const found = await images(joined);
      const size = found.length / piece.length;
      for (let i = 0; i < piece.length; i++) rows.push(found.slice(i * size, (i + 1) * size));
    }
    return rows;
  };

  const school = createUniverse({ ...shared, seed: 7, split: 'pretraining' });
  const scrambler = await openScrambler(runtime, parts, options.frames);
  let findSubject: SubjectFinder;
  const lessons: { features: Float32Array; motion: number }[] = [];
  try {
    const shown = Array.from({ length: Math.min(trainingClips, FINDER_LESSONS) }, (_, i) => school.render(i));
    findSubject = await trainSubjectFinder(runtime, shown, scrambler);
    for (let from = 0; from < trainingClips; from += PIECE) {
      const count = Math.min(PIECE, trainingClips - from);
      const clips = Array.from({ length: count }, (_, i) => school.render(from + i));
      const again = clips.slice(0, Math.ceil(count / SCRAMBLED_EVERY));
      const scrambled = await scrambler.scramble(again, from);
      const seen = [...clips.map(({ frames }) => frames), ...scrambled];
      const [rows, presence] = [await rowsOf(seen), await findSubject(seen)];
      for (const [i, { labels }] of [...clips, ...again].entries()) {
        const motion = motions.indexOf(labels.motion ?? '');
        lessons.push({ features: motionFeatures(seen[i], rows[i], presence[i]), motion });
      }
    }
  } finally {
    await scrambler.release();
  }
  const classify = await trainMotionClassifier(
    runtime,
    lessons.map(({ features }) => features),
    lessons.map(({ motion }) => motion),
    motions.length,
  );

  const sceneTexts: Float32Array[] = [];
  const subjectTexts: Float32Array[] = [];
  for (const [i, { caption, subject, scene }] of wanted.entries()) {
    sceneTexts.push(await texts(scenes.map(({ phrase }) => caption.replace(scene.phrase, phrase))));
    const others = everyone.filter(({ id, phrase }) => id !== subject.id && phrase !== subject.phrase);
    const order = randomStream(8, 'candidates', i).permutation(others.length);
    const candidates = [subject, ...order.slice(0, CANDIDATES - 1).map((at) => others[at])];
    subjectTexts.push(await texts(candidates.map(({ phrase }) => caption.replace(subject.phrase, phrase))));
  }

  return {
    wanted,
    real: () => indices.map((index) => unseen.render(index).frames),
    judge: async (clips) => {
      const rows = await rowsOf(clips);
      const isNearest = (row: Float32Array, gallery: Float32Array, right: number) =>
        nearest(meanRows(row, EMBEDDING_DIM, row.length / EMBEDDING_DIM), gallery, EMBEDDING_DIM)[0] ===
        right;
      const presence = await findSubject(clips);
      const answers = await classify(clips.map((clip, i) => motionFeatures(clip, rows[i], presence[i])));
      const found = answers.map((at) => motions[at]);
      const stills = clips.map((clip) => held(clip, frames));
      const stillPresence = await findSubject(stills);
      const frozen = await classify(
        stills.map((still, i) => motionFeatures(still, held(rows[i], frames), stillPresence[i])),
      );
      const asked = wanted.map(({ motion }) => motion?.id ?? '');
      return {
        scene: share(rows.map((row, i) => isNearest(row, sceneTexts[i], scenes.indexOf(wanted[i].scene)))),
        subject: share(rows.map((row, i) => isNearest(row, subjectTexts[i], 0))),
        motion: share(found.map((motion, i) => motion === asked[i])),
        still: share(frozen.map((at, i) => motions[at] === asked[i])),
        motions: recallOf(motions, asked, found),
      };
    },
  };
}

/** The first of so many frames, in all places. */
function held<Values extends Uint8Array | Float32Array>(values: Values, frames: number): Values {
  const still = values.slice() as Values;
  const size = values.length / frames;
  for (let frame = 1; frame < frames; frame++) still.copyWithin(frame * size, 0, size);
  return still;
}

function recallOf(
  motions: readonly string[],
  asked: readonly string[],
  found: readonly string[],
): MotionRecall[] {
  return motions.flatMap((motion) => {
    const answers = found.filter((_, i) => asked[i] === motion);
    if (answers.length === 0) return [];
    const right = answers.filter((answer) => answer === motion).length;
    const takenFor = motions
      .filter((other) => other !== motion)
      .map((other) => ({ motion: other, clips: answers.filter((answer) => answer === other).length }))
      .filter(({ clips }) => clips > 0)
      .sort((a, b) => b.clips - a.clips);
    return [{ motion, clips: answers.length, right, takenFor }];
  });
}
