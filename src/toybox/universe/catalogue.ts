import { FREE_MOTIONS } from './free-motions.ts';
import { type ArticulatedMotion, MOTIONS, type Motion, type Purpose, type Stage } from './motions.ts';
import { PERFORMERS, type Performer, standingKey } from './performers.ts';
import { SCENES, type Scene } from './scenes.ts';
import {
  DEVELOPMENT_ROWS,
  EVALUATION_ROWS,
  FIRST_ROWS,
  LATER_ROWS,
  type SubjectRow,
} from './subject-rows.ts';

/** Someone or something that clips are about. */
export interface Subject {
  readonly id: string;
  /** "a penguin", or "mia" for the people. */
  readonly phrase: string;
  /** "a bird": the words that also stand for others of the kind. */
  readonly classPhrase: string;
  readonly classWord: string;
  readonly purpose: Purpose;
  readonly stage: Stage;
  /** Key of the still picture. */
  readonly still: string;
  /** Keys of the animations, by motion id. Held-out subjects have none: they are known by photos alone. */
  readonly animations: Readonly<Record<string, string>>;
  /** Where the art looks to, and so where it travels to. */
  readonly faces: 'left' | 'right';
}

/**
 * What is rendered. `pretraining` leaves out a twentieth of all (subject, motion, scene) triples, which
 * `combinations` renders; `development` and `evaluation` render held-out subjects and held-out motions.
 */
export type Split = 'pretraining' | 'combinations' | 'development' | 'evaluation';

/** The phrase with its article. */
export function withArticle(noun: string): string {
  return `${/^([aeio]|um)/.test(noun) ? 'an' : 'a'} ${noun}`;
}

const subjectOf =
  (purpose: Purpose, stage: Stage) =>
  (row: SubjectRow): Subject => {
    const [name, classWord, still, ownMotion, faces] = row;
    return {
      id: name.replaceAll(' ', '-'),
      phrase: withArticle(name),
      classPhrase: withArticle(classWord),
      classWord,
      purpose,
      stage,
      still,
      animations: ownMotion === undefined ? {} : { [ownMotion]: still },
      faces: faces ?? 'left',
    };
  };

const isArticulated = (motion: Motion): motion is ArticulatedMotion => motion.kind === 'articulated';

function performerSubject(performer: Performer): Subject {
  const animations: Record<string, string> = {};
  for (const motion of MOTIONS.filter(isArticulated)) {
    const key = motion.activity?.(performer);
    if (key !== undefined) animations[motion.id] = key;
  }
  return {
    id: performer.name,
    phrase: performer.name,
    classPhrase: withArticle(performer.classWord),
    classWord: performer.classWord,
    purpose: 'pretraining',
    stage: 1,
    still: standingKey(performer),
    animations,
    faces: 'left',
  };
}

/** Every subject there is, in a fixed order. */
export const SUBJECTS: readonly Subject[] = [
  ...FIRST_ROWS.map(subjectOf('pretraining', 1)),
  ...PERFORMERS.map(performerSubject),
  ...LATER_ROWS.map(subjectOf('pretraining', 2)),
  ...EVALUATION_ROWS.map(subjectOf('evaluation', 1)),
  ...DEVELOPMENT_ROWS.map(subjectOf('development', 1)),
];

/** The subject with this id; throws RangeError where there is none. */
export function subjectById(id: string): Subject {
  const subject = SUBJECTS.find((candidate) => candidate.id === id);
  if (subject === undefined) throw new RangeError(`no subject is called ${id}`);
  return subject;
}

/** What one split draws from. */
export interface Catalogue {
  readonly split: Split;
  readonly subjects: readonly Subject[];
  readonly scenes: readonly Scene[];
  /** The motions, each with those who may perform it. */
  readonly castings: readonly Casting[];
}

export interface Casting {
  readonly motion: Motion;
  readonly performers: readonly Subject[];
}

/**
 * The subjects, motions and scenes of a split: the only gate between the lists above and what is rendered.
 * @param stage how much of the pretraining universe is in use; held-out splits use its scenes.
 */
export function catalogueOf(split: Split, stage: Stage = 1): Catalogue {
  const purpose: Purpose = split === 'combinations' ? 'pretraining' : split;
  const known = SUBJECTS.filter((subject) => subject.purpose === 'pretraining' && subject.stage <= stage);
  const subjects =
    purpose === 'pretraining' ? known : SUBJECTS.filter((subject) => subject.purpose === purpose);
  const castings = [...MOTIONS, ...FREE_MOTIONS]
    .filter((motion) => motion.purpose === purpose && motion.stage <= stage)
    .map((motion) => ({
      motion,
      performers:
        motion.kind === 'procedural' ? subjects : known.filter((one) => motion.id in one.animations),
    }));
  return { split, subjects, scenes: SCENES.filter((scene) => scene.stage <= stage), castings };
}

/** One in twenty (subject, motion, scene) triples is kept out of pretraining, whatever the seed. */
export function isHeldOutCombination(subject: string, motion: string, scene: string): boolean {
  let hash = 0x811c9dc5;
  for (const character of `${subject}/${motion}/${scene}`) {
    hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  }
  // FNV's low bits are weak for short strings: mix before taking the remainder.
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return ((hash ^ (hash >>> 12)) >>> 0) % 20 === 0;
}
