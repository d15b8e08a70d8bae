import { randomStream } from '../../tensor/random.ts';
import type { Atlas } from './atlas.ts';
import { CLIP_TEMPLATES, clipCaption, photoCaption } from './captions.ts';
import { type Catalogue, catalogueOf, type Subject } from './catalogue.ts';
import { layOut } from './layout.ts';
import type { Motion, Stage } from './motions.ts';
import type { Content } from './plan.ts';
import { renderLayout } from './render.ts';
import type { Scene } from './scenes.ts';
import { openUniverseAtlas, type RenderedClip, UniverseError } from './universe.ts';

export const PROMPTS_PER_CASE = 50;

export interface Prompt {
  /** Says the subject's class ("an animal"), which pretraining knows, and the motion. */
  readonly text: string;
  readonly scene: string;
}

/** One identity with one motion: what a customization is trained and judged on. */
export interface EvaluationCase {
  readonly index: number;
  readonly subject: Subject;
  readonly motion: Motion;
  readonly prompts: readonly Prompt[];
}

export interface EvaluationOptions {
  readonly seed: number;
  /** `evaluation`: 50 subjects × 21 motions; `development`, for tuning: 10 × 5. */
  readonly split: 'evaluation' | 'development';
  /** Which scenes there are; default 1. */
  readonly stage?: Stage;
}

/**
 * All pairs of held-out subjects and motions, 50 prompts each, as the paper's benchmark has. The order is such
 * that the first cases use every subject and every motion equally often: any prefix is a fair sample.
 */
export function evaluationCases(options: EvaluationOptions): EvaluationCase[] {
  const { seed, split, stage = 1 } = options;
  const { subjects, castings, scenes } = catalogueOf(split, stage);
  const stream = randomStream(seed, 'toybox', 'cases', split);
  const orderedSubjects = stream.permutation(subjects.length).map((at) => subjects[at]);
  const orderedMotions = stream.permutation(castings.length).map((at) => castings[at].motion);
  const round = leastCommonMultiple(subjects.length, castings.length);
  return Array.from({ length: subjects.length * castings.length }, (_, index) => {
    const subject = orderedSubjects[index % subjects.length];
    const motion = orderedMotions[(index + Math.floor(index / round)) % castings.length];
    return { index, subject, motion, prompts: casePrompts(seed, subject, motion, scenes) };
  });
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y > 0) [x, y] = [y, x % y];
  return (a * b) / x;
}

/** Every scene equally often, each time in other words. */
function casePrompts(seed: number, subject: Subject, motion: Motion, scenes: readonly Scene[]): Prompt[] {
  const stream = randomStream(seed, 'toybox', 'prompts', subject.id, motion.id);
  const order = stream.permutation(scenes.length);
  const firstTemplate = scenes.map(() => stream.integer(CLIP_TEMPLATES.length));
  return Array.from({ length: PROMPTS_PER_CASE }, (_, index) => {
    const at = order[index % scenes.length];
    const template = (firstTemplate[at] + Math.floor(index / scenes.length)) % CLIP_TEMPLATES.length;
    const scene = scenes[at];
    const parts = { subject: subject.classPhrase, motion: motion.phrase, scene: scene.phrase };
    return { text: clipCaption(template, parts), scene: scene.id };
  });
}

export interface ReferenceOptions extends EvaluationOptions {
  /** Frames of the motion clips, 4k + 1. */
  readonly frames: number;
  readonly cacheFolder?: string;
  readonly atlas?: Atlas;
}

/** What a customization learns from: photos of a subject, clips of a motion. */
export interface References {
  readonly catalogue: Catalogue;
  /** 3 to 10 photos: other sizes, tilts, lights and scenes. frames is [1, 64, 64, 3]. */
  photos(subject: string): RenderedClip[];
  /**
   * 4 to 8 clips, each performed by another subject, none of them held out. All show the motion done one way: in
   * one direction, equally fast and far, and from the same moment on, but for people's animations.
   */
  clips(motion: string): RenderedClip[];
}

/**
 * The photos and clips of the held-out subjects and motions; pure functions of (seed, id).
 * @throws {AtlasError} where the cache folder holds no atlas.
 */
export function createReferences(options: ReferenceOptions): References {
  const { seed, split, frames, stage = 1 } = options;
  const atlas = options.atlas ?? openUniverseAtlas(options.cacheFolder);
  const catalogue = catalogueOf(split, stage);
  const known = catalogueOf('pretraining', stage).subjects;
  const { scenes } = catalogue;

  const renderOne = (path: (string | number)[], content: Content, count: number, caption: string) => {
    const stream = randomStream(seed, 'toybox', 'references', ...path);
    // The same for all clips of a motion: they show one way of doing it.
    const way = content.motion && randomStream(seed, 'toybox', 'way', content.motion.id);
    const layout = layOut(stream, atlas, content, count, way);
    const { subject, motion, scene } = content;
    const labels = { subject: subject.id, motion: motion?.id ?? null, scene: scene.id };
    return { ...renderLayout(atlas, scene, layout), caption, labels };
  };

  return {
    catalogue,
    photos(id) {
      const subject = catalogue.subjects.find((one) => one.id === id);
      if (subject === undefined) throw unknown('subject', id, split);
      const stream = randomStream(seed, 'toybox', 'photos', id);
      const order = stream.permutation(scenes.length);
      return Array.from({ length: 3 + stream.integer(8) }, (_, index) => {
        const scene = scenes[order[index % scenes.length]];
        const caption = photoCaption(0, { subject: subject.classPhrase, scene: scene.phrase });
        return renderOne(['photo', id, index], { subject, scene }, 1, caption);
      });
    },
    clips(id) {
      const casting = catalogue.castings.find(({ motion }) => motion.id === id);
      if (casting === undefined) throw unknown('motion', id, split);
      const { motion } = casting;
      const performers = motion.kind === 'procedural' ? known : casting.performers;
      const stream = randomStream(seed, 'toybox', 'motion clips', id);
      const order = stream.permutation(performers.length);
      const count = Math.min(4 + stream.integer(5), performers.length);
      return Array.from({ length: count }, (_, index) => {
        const subject = performers[order[index]];
        const scene = stream.pick(scenes);
        const parts = { subject: subject.phrase, motion: motion.phrase, scene: scene.phrase };
        return renderOne(
          ['clip', id, frames, index],
          { subject, motion, scene },
          frames,
          clipCaption(0, parts),
        );
      });
    },
  };
}

function unknown(kind: string, id: string, split: string): UniverseError {
  return new UniverseError({ where: `${split} references`, expected: `a held-out ${kind}`, got: id });
}
