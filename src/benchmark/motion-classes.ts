import { randomStream } from '../tensor/random.ts';
import type { MaskedClip } from '../toybox/pretrain/transformer/scrambler.ts';
import type { Atlas } from '../toybox/universe/atlas.ts';
import { catalogueOf, type Subject } from '../toybox/universe/catalogue.ts';
import { layOut } from '../toybox/universe/layout.ts';
import type { Motion } from '../toybox/universe/motions.ts';
import { renderLayout } from '../toybox/universe/render.ts';
import type { BenchRequest } from './request.ts';

/** One answer of the motion classifier, with those who show it. */
export interface MotionClass {
  /** Of the motion; {@link AT_REST} for none at all. */
  readonly id: string;
  readonly motion: Motion | undefined;
  /** A motion of the split that cases are of; the others are there to be told apart from. */
  readonly isAsked: boolean;
  /** Perform the clips it learns from. */
  readonly teachers: readonly Subject[];
  /** Perform the clips it is examined on, and none that it learns from. Only of asked motions. */
  readonly examinees: readonly Subject[];
}

/** The class of clips in which the subject stands still. */
export const AT_REST = 'at-rest';

/** Every third person is kept for the exam. */
const isExaminee = (index: number): boolean => index % 3 === 2;

/**
 * All held-out motions of a split, then as distractors the motions that pretraining knows, and rest. The subjects of
 * the cases teach nothing: the classifier is examined on them, where motions can be shown by anyone, else on people
 * that it has not seen in this motion.
 */
export function motionClasses(
  split: BenchRequest['split'],
  caseSubjects: ReadonlySet<string>,
): readonly MotionClass[] {
  const asked = catalogueOf(split);
  const known = catalogueOf('pretraining');
  const others = [...known.subjects, ...asked.subjects.filter(({ id }) => !caseSubjects.has(id))];
  const own = asked.subjects.filter(({ id }) => caseSubjects.has(id));
  const classOf = (motion: Motion, performers: readonly Subject[], isAsked: boolean): MotionClass => {
    const id = motion.id;
    if (motion.kind === 'procedural') {
      return { id, motion, isAsked, teachers: others, examinees: isAsked ? own : [] };
    }
    if (!isAsked) return { id, motion, isAsked, teachers: performers, examinees: [] };
    const teachers = performers.filter((_, i) => !isExaminee(i));
    return { id, motion, isAsked, teachers, examinees: performers.filter((_, i) => isExaminee(i)) };
  };
  return [
    ...asked.castings.map(({ motion, performers }) => classOf(motion, performers, true)),
    ...known.castings.map(({ motion, performers }) => classOf(motion, performers, false)),
    { id: AT_REST, motion: undefined, isAsked: false, teachers: others, examinees: [] },
  ];
}

/** A clip of a class; a pure function of its arguments. */
export function renderClass(
  { id, motion, teachers, examinees }: MotionClass,
  kind: 'lesson' | 'exam',
  index: number,
  { seed, split, frames, atlas }: Pick<BenchRequest, 'seed' | 'split'> & { frames: number; atlas: Atlas },
): MaskedClip {
  const stream = randomStream(seed, 'benchmark', 'motion', kind, id, frames, index);
  const subject = kind === 'lesson' ? stream.pick(teachers) : examinees[index % examinees.length];
  const scene = stream.pick(catalogueOf(split).scenes);
  const content = { subject, scene, ...(motion && { motion }) };
  return renderLayout(atlas, scene, layOut(stream, atlas, content, frames));
}
