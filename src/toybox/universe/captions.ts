import { type Catalogue, catalogueOf, type Subject } from './catalogue.ts';
import type { Motion } from './motions.ts';
import type { Scene } from './scenes.ts';

/** The words a caption is made of. */
export interface CaptionParts {
  /** "a penguin" or "a bird". */
  readonly subject: string;
  /** "jumping"; not in captions of photos at rest. */
  readonly motion?: string;
  /** "in the forest" */
  readonly scene: string;
}

type MotionTemplate = (subject: string, motion: string, scene: string) => string;
type RestTemplate = (subject: string, scene: string) => string;

/** Captions of clips, and prompts. */
export const CLIP_TEMPLATES: readonly MotionTemplate[] = [
  (subject, motion, scene) => `${subject} is ${motion} ${scene}`,
  (subject, motion, scene) => `${subject} ${motion} ${scene}`,
  (subject, motion, scene) => `a video of ${subject} ${motion} ${scene}`,
  (subject, motion, scene) => `${scene} ${subject} is ${motion}`,
  (subject, motion, scene) => `a clip of ${subject} that is ${motion} ${scene}`,
];

/** Captions of single pictures of a subject at rest. */
export const PHOTO_TEMPLATES: readonly RestTemplate[] = [
  (subject, scene) => `a photo of ${subject} ${scene}`,
  (subject, scene) => `${subject} ${scene}`,
  (subject, scene) => `a picture of ${subject} ${scene}`,
];

/** Captions of single pictures out of a motion. */
export const MOMENT_TEMPLATES: readonly MotionTemplate[] = [
  (subject, motion, scene) => `a photo of ${subject} ${motion} ${scene}`,
  (subject, motion, scene) => `a picture of ${subject} ${motion} ${scene}`,
];

export function clipCaption(template: number, parts: Required<CaptionParts>): string {
  return CLIP_TEMPLATES[template](parts.subject, parts.motion, parts.scene);
}

/** A picture's caption; `template` counts through the templates of its kind and wraps around. */
export function photoCaption(template: number, parts: CaptionParts): string {
  const { subject, motion, scene } = parts;
  if (motion === undefined) return PHOTO_TEMPLATES[template % PHOTO_TEMPLATES.length](subject, scene);
  return MOMENT_TEMPLATES[template % MOMENT_TEMPLATES.length](subject, motion, scene);
}

const captionsAround = (subject: Subject, motion: Motion, scene: Scene): string[] =>
  [subject.phrase, subject.classPhrase].flatMap((words) => [
    ...CLIP_TEMPLATES.map((make) => make(words, motion.phrase, scene.phrase)),
    ...PHOTO_TEMPLATES.map((make) => make(words, scene.phrase)),
    ...MOMENT_TEMPLATES.map((make) => make(words, motion.phrase, scene.phrase)),
  ]);

/** The words of some catalogues' captions, sorted. Captions are lower-case words between single spaces. */
export function captionVocabulary(catalogues: readonly Catalogue[] = everything()): string[] {
  const words = new Set<string>();
  for (const { subjects, castings, scenes } of catalogues) {
    const people = castings.flatMap((casting) => casting.performers);
    const everyone = [...subjects, ...people];
    const [motion] = castings.map((casting) => casting.motion);
    const [scene] = scenes;
    const sentences = [
      ...everyone.flatMap((subject) => captionsAround(subject, motion, scene)),
      ...castings.flatMap((casting) => captionsAround(everyone[0], casting.motion, scene)),
      ...scenes.flatMap((place) => captionsAround(everyone[0], motion, place)),
    ];
    for (const sentence of sentences) for (const word of sentence.split(' ')) words.add(word);
  }
  return [...words].sort();
}

const everything = (): Catalogue[] =>
  (['pretraining', 'development', 'evaluation'] as const).map((split) => catalogueOf(split, 2));
