import type { RandomStream } from '../../tensor/random.ts';
import { CLIP_TEMPLATES, clipCaption, photoCaption } from './captions.ts';
import { type Casting, type Catalogue, isHeldOutCombination, type Subject } from './catalogue.ts';
import type { Motion } from './motions.ts';
import type { Scene } from './scenes.ts';

/** What a clip or a picture shows. */
export interface Content {
  readonly subject: Subject;
  /** Absent in pictures of a subject at rest. */
  readonly motion?: Motion;
  readonly scene: Scene;
}

/** Content and its caption. */
export interface ClipDescription extends Content {
  readonly caption: string;
}

/** Share of clips with a free motion, where the catalogue has any. */
const FREE_SHARE = 0.5;
/** Share of the others whose motion is procedural: it can be shown by every subject, an animation by few. */
const PROCEDURAL_SHARE = 0.6;
/** Share of captions that say what kind of thing it is ("a bird") instead of what ("a penguin"). */
const CLASS_WORD_SHARE = 0.15;
/** People are more often "a woman" than known by name. */
const PERSON_WORD_SHARE = 0.5;
/** Share of single pictures that are taken out of a motion, and say so. */
const MOMENT_SHARE = 0.3;

/** Draws what sample `index` shows; needs no art. */
export function describeClip(stream: RandomStream, catalogue: Catalogue, frames: number): ClipDescription {
  const atRest = frames === 1 && stream.uniform() >= MOMENT_SHARE;
  const content = atRest
    ? { subject: stream.pick(catalogue.subjects), scene: stream.pick(catalogue.scenes) }
    : drawMoving(stream, catalogue);
  const words = subjectWords(stream, content.subject);
  const parts = { subject: words, scene: content.scene.phrase };
  const motion = 'motion' in content ? content.motion : undefined;
  if (motion === undefined) return { ...content, caption: photoCaption(stream.integer(6), parts) };
  const moving = { ...parts, motion: motion.phrase };
  const caption =
    frames === 1
      ? photoCaption(stream.integer(2), moving)
      : clipCaption(stream.integer(CLIP_TEMPLATES.length), moving);
  return { ...content, motion, caption };
}

function drawMoving(stream: RandomStream, catalogue: Catalogue): Required<Content> {
  const castings = drawCastings(stream, catalogue.castings);
  // Redrawn until the triple belongs to the split; one in twenty does to `combinations`.
  for (;;) {
    const { motion, performers } = stream.pick(castings);
    const subject = stream.pick(performers);
    const scene = stream.pick(catalogue.scenes);
    const heldOut = isHeldOutCombination(subject.id, motion.id, scene.id);
    if (catalogue.split === 'pretraining' && heldOut) continue;
    if (catalogue.split === 'combinations' && !heldOut) continue;
    return { subject, motion, scene };
  }
}

function drawCastings(stream: RandomStream, castings: readonly Casting[]): readonly Casting[] {
  const free = castings.filter(({ motion }) => motion.stage === 3);
  if (free.length > 0 && stream.uniform() < FREE_SHARE) return free;
  const isProcedural = stream.uniform() < PROCEDURAL_SHARE;
  return castings.filter(({ motion }) => motion.stage < 3 && (motion.kind === 'procedural') === isProcedural);
}

const PERSON_WORDS = new Set(['person', 'man', 'woman']);

function subjectWords(stream: RandomStream, subject: Subject): string {
  const isNamedPerson = PERSON_WORDS.has(subject.classWord) && subject.phrase === subject.id;
  const share = isNamedPerson ? PERSON_WORD_SHARE : CLASS_WORD_SHARE;
  return stream.uniform() < share ? subject.classPhrase : subject.phrase;
}
