import { decodeVideo, fitFrames } from '../media/index.ts';
import type { Runtime } from '../runtime/index.ts';
import { throwIfCancelled } from '../tensor/errors.ts';
import { openClipEmbedders } from '../toybox/pretrain/clip-embedders.ts';
import { SIDE } from '../toybox/pretrain/configs.ts';
import { readShipped } from '../toybox/pretrain/shipped.ts';
import { readBaseParts } from '../toybox/pretrain/transformer/base-parts.ts';
import { trainMotionClassifier } from '../toybox/pretrain/transformer/motion-classifier.ts';
import { motionFeatures } from '../toybox/pretrain/transformer/motion-features.ts';
import { type MaskedClip, openScrambler, SCRAMBLED_EVERY } from '../toybox/pretrain/transformer/scrambler.ts';
import { type SubjectFinder, trainSubjectFinder } from '../toybox/pretrain/transformer/subject-finder.ts';
import { openUniverseAtlas } from '../toybox/universe/universe.ts';
import { EMBEDDED_BASE_FOLDER } from '../workflows/base-location.ts';
import type { WorkflowContext, WorkflowEvent } from '../workflows/workflow.ts';
import { openBaseCodec } from './base-codec.ts';
import { BenchmarkError } from './benchmark-error.ts';
import { type MotionClass, motionClasses, renderClass } from './motion-classes.ts';
import type { BenchPlan } from './plan.ts';

/** What a clip was taken for. */
export interface MotionAnswer {
  /** Among the held-out motions, those of pretraining, and rest. */
  readonly motion: string;
  /** Among the held-out motions alone. */
  readonly heldOut: string;
}

/** How many clips are recognised. */
export interface Recognised {
  readonly clips: number;
  readonly right: number;
  /** Where only the held-out motions can be answered. */
  readonly rightOfHeldOut: number;
}

/** Of rendered clips of a motion, performed by others than those of the lessons. */
export interface MotionExam extends Recognised {
  readonly motion: string;
  /** Of the first of these clips, taken through the base's codec as every generated one; of the cases' motions. */
  readonly throughCodec?: Recognised;
}

export interface MotionJudge {
  /** Answers to be had, the held-out motions first. */
  readonly classes: readonly string[];
  readonly exam: readonly MotionExam[];
  /** @param clips videos of the benchmark, of as many frames as the lessons */
  recognise(clips: readonly string[], signal: AbortSignal | undefined): Promise<readonly MotionAnswer[]>;
}

/** Clips of a motion that are taken through the base's codec: as many as are generated of it. */
const CODEC_EXAMS = 20;

/** Clips of each class that teach where the subject is. */
const FINDER_LESSONS = 24;

/** Clips that are looked at at a time. */
const PIECE = 50;

/**
 * A perceptron on {@link motionFeatures}, as it judges the pretrained transformer, here over held-out motions too:
 * trained on rendered clips by other subjects than the cases' (some of them with broken texture too: see
 * {@link openScrambler}), and examined on rendered clips by theirs.
 * @throws {AtlasError} where the art is not installed.
 */
export async function* openMotionJudge(
  runtime: Runtime,
  plan: BenchPlan,
  context: WorkflowContext,
): AsyncGenerator<WorkflowEvent, MotionJudge> {
  const { signal } = context;
  const { split, seed, artCache, lessons, exams } = plan.request;
  const { frames } = plan;
  const classes = motionClasses(split, new Set(plan.cases.map(({ subject }) => subject)));
  const asked = classes.filter(({ isAsked }) => isAsked);
  const rendering = { seed, split, frames, atlas: openUniverseAtlas(artCache) };
  const { images } = (await openClipEmbedders(runtime))(
    await readShipped(EMBEDDED_BASE_FOLDER, 'image_encoder'),
  );

  yield {
    type: 'stage',
    stage: 'training the motion classifier',
    detail: `${classes.length} classes, ${lessons} clips each`,
  };
  const scrambler = await openScrambler(runtime, await readBaseParts(EMBEDDED_BASE_FOLDER), frames);
  let findSubject: SubjectFinder;
  const describe = async (clips: readonly Uint8Array[]): Promise<Float32Array[]> => {
    const rows = await images(new Uint8Array(Buffer.concat(clips)));
    const presence = await findSubject(clips);
    const size = rows.length / clips.length;
    return clips.map((clip, i) => motionFeatures(clip, rows.slice(i * size, (i + 1) * size), presence[i]));
  };
  const rendered = async function* (
    stage: string,
    kind: 'lesson' | 'exam',
    each: readonly MotionClass[],
    count: number,
    shown: (clips: readonly MaskedClip[], first: number) => Promise<Uint8Array[]> = async (clips) =>
      clips.map(({ frames }) => frames),
  ): AsyncGenerator<WorkflowEvent, Float32Array[]> {
    const total = each.length * count;
    const features: Float32Array[] = [];
    while (features.length < total) {
      throwIfCancelled(signal, stage);
      const from = features.length;
      const clips = Array.from({ length: Math.min(PIECE, total - from) }, (_, i) =>
        renderClass(each[Math.floor((from + i) / count)], kind, (from + i) % count, rendering),
      );
      features.push(...(await describe(await shown(clips, from))));
      yield { type: 'progress', stage, done: features.length, total };
    }
    return features;
  };

  let clean: readonly Float32Array[];
  const again = Math.ceil(lessons / SCRAMBLED_EVERY);
  let broken: readonly Float32Array[];
  try {
    findSubject = await trainSubjectFinder(
      runtime,
      classes.flatMap((each) =>
        Array.from({ length: Math.min(lessons, FINDER_LESSONS) }, (_, i) =>
          renderClass(each, 'lesson', i, rendering),
        ),
      ),
      scrambler,
    );
    clean = yield* rendered('rendering lessons', 'lesson', classes, lessons);
    broken = yield* rendered('scrambling lessons', 'lesson', classes, again, (clips, first) =>
      scrambler.scramble(clips, first),
    );
  } finally {
    await scrambler.release();
  }
  const features = [...clean, ...broken];
  const labels = [
    ...clean.map((_, i) => Math.floor(i / lessons)),
    ...broken.map((_, i) => Math.floor(i / again)),
  ];
  const ofAll = await trainMotionClassifier(runtime, features, labels, classes.length);
  // The asked classes come first.
  const isOfAsked = (_: unknown, i: number) => labels[i] < asked.length;
  const ofAsked = await trainMotionClassifier(
    runtime,
    features.filter(isOfAsked),
    labels.filter(isOfAsked),
    asked.length,
  );
  const answer = async (described: readonly Float32Array[]): Promise<MotionAnswer[]> => {
    const [all, heldOut] = [await ofAll(described), await ofAsked(described)];
    return all.map((at, i) => ({ motion: classes[at].id, heldOut: classes[heldOut[i]].id }));
  };

  const graded = (id: string, answers: readonly MotionAnswer[]): Recognised => ({
    clips: answers.length,
    right: answers.filter(({ motion }) => motion === id).length,
    rightOfHeldOut: answers.filter(({ heldOut }) => heldOut === id).length,
  });
  const answers = await answer(yield* rendered('rendering the exam', 'exam', asked, exams));
  const caseMotions = new Set(plan.cases.map(({ motion }) => motion));
  const codec = await openBaseCodec(runtime, plan, context);
  const exam: MotionExam[] = [];
  try {
    for (const [at, each] of asked.entries()) {
      const own = { motion: each.id, ...graded(each.id, answers.slice(at * exams, (at + 1) * exams)) };
      if (!caseMotions.has(each.id)) {
        exam.push(own);
        continue;
      }
      yield { type: 'stage', stage: "examining through the base's codec", detail: each.id };
      const clips: Uint8Array[] = [];
      while (clips.length < Math.min(exams, CODEC_EXAMS)) {
        clips.push(await codec.run(renderClass(each, 'exam', clips.length, rendering).frames));
      }
      exam.push({ ...own, throughCodec: graded(each.id, await answer(await describe(clips))) });
    }
  } finally {
    await codec.release();
  }
  return {
    classes: classes.map(({ id }) => id),
    exam,
    async recognise(clips, cancelled) {
      const found: MotionAnswer[] = [];
      for (let from = 0; from < clips.length; from += PIECE) {
        const pixels: Uint8Array[] = [];
        for (const path of clips.slice(from, from + PIECE)) {
          pixels.push(await pixelsOf(path, frames, cancelled));
        }
        found.push(...(await answer(await describe(pixels))));
      }
      return found;
    },
  };
}

/** A video at the universe's size, [F, 64, 64, 3]. */
async function pixelsOf(path: string, frames: number, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const video = await decodeVideo(path, { signal });
  const [count] = video.frames.shape;
  if (count !== frames) {
    throw new BenchmarkError({ where: path, expected: `a video of ${frames} frames`, got: `${count}` });
  }
  return fitFrames(video.frames, { width: SIDE, height: SIDE }, 'stretch').data;
}
