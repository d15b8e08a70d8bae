import { activityKey, type Performer } from './performers.ts';

export type Purpose = 'pretraining' | 'development' | 'evaluation';

/** How much of the pretraining universe is in use: 1 is what it starts with, 2 all things and places, 3 free motions too. */
export type Stage = 1 | 2 | 3;

interface MotionFacts {
  readonly id: string;
  /** What the caption says after "is". */
  readonly phrase: string;
  readonly purpose: Purpose;
  /** From which on pretraining shows it. Held-out motions are 1. */
  readonly stage: Stage;
}

/** A trajectory that any still subject can follow (see trajectories.ts). */
export interface ProceduralMotion extends MotionFacts {
  readonly kind: 'procedural';
}

/** A motion with its own animation, performed by the people or by the subjects whose art shows it. */
export interface ArticulatedMotion extends MotionFacts {
  readonly kind: 'articulated';
  /** The animation of a performer, or undefined where that performer has none. */
  readonly activity?: (performer: Performer) => string | undefined;
  /** Frames of the animation for one frame of a clip; slow ones play at double speed. Default 1. */
  readonly stride?: 2;
  /** Speed across the picture, in pixels per second, in the direction the art faces. */
  readonly travel?: readonly [low: number, high: number];
  /** Height above the ground, in pixels. */
  readonly aloft?: readonly [low: number, high: number];
  /** The art is a bust: it is framed like a portrait, cut by the lower edge of the picture. */
  readonly bust?: true;
}

export type Motion = ProceduralMotion | ArticulatedMotion;

const procedural = (purpose: Purpose, stage: Stage, rows: Readonly<Record<string, string>>): Motion[] =>
  Object.entries(rows).map(([id, phrase]) => ({ kind: 'procedural', id, phrase, purpose, stage }));

const byGender = (activity: string) => (performer: Performer) => activityKey(activity, performer);

/** Dancing is drawn for women and men only; riding and the like for one figure in six tones. */
const dancing = ({ classWord, tone }: Performer) => {
  const figure = { person: undefined, man: '1f57a', woman: '1f483' }[classWord];
  return figure && (tone === '' ? figure : `${figure}-${tone}`);
};
const horseRiding = ({ classWord, tone }: Performer) =>
  classWord === 'person' ? (tone === '' ? '1f3c7' : `1f3c7-${tone}`) : undefined;
const poweredChair = ({ classWord, tone }: Performer) => {
  const figure = { person: '1f9d1', man: '1f468', woman: '1f469' }[classWord];
  return `${figure}${tone === '' ? '' : `-${tone}`}-200d-1f9bc`;
};

const articulated = (
  purpose: Purpose,
  id: string,
  phrase: string,
  facts: Omit<ArticulatedMotion, keyof MotionFacts | 'kind'>,
): Motion => ({ kind: 'articulated', id, phrase, purpose, stage: 1, ...facts });

/**
 * Every motion with a name; those without are in free-motions.ts. Held-out ones are no mirror images of the
 * pretraining ones: each has something (a reversal, a rhythm, a path, a pose, two things at once) that none of those
 * shows.
 */
export const MOTIONS: readonly Motion[] = [
  ...procedural('pretraining', 1, {
    'slide-left': 'sliding to the left',
    'slide-right': 'sliding to the right',
    jump: 'jumping',
    spin: 'spinning around',
    grow: 'growing',
    shrink: 'shrinking',
    shake: 'shaking',
    swing: 'swinging',
  }),
  ...procedural('pretraining', 2, {
    circle: 'flying in circles',
    fall: 'falling down',
    float: 'floating up',
    rock: 'rocking from side to side',
    approach: 'coming closer',
    retreat: 'moving away',
  }),
  articulated('pretraining', 'walk', 'walking', { activity: byGender('1f6b6'), travel: [8, 14] }),
  articulated('pretraining', 'run', 'running', { activity: byGender('1f3c3'), travel: [14, 26] }),
  articulated('pretraining', 'bike', 'riding a bike', { activity: byGender('1f6b4'), travel: [12, 24] }),
  articulated('pretraining', 'lift', 'lifting weights', { activity: byGender('1f3cb'), stride: 2 }),
  articulated('pretraining', 'dribble', 'bouncing a ball', { activity: byGender('26f9'), travel: [4, 12] }),
  articulated('pretraining', 'wheelchair', 'riding a wheelchair', {
    activity: poweredChair,
    travel: [8, 16],
  }),
  articulated('pretraining', 'wave', 'waving', { activity: byGender('1f64b'), bust: true }),
  articulated('pretraining', 'shrug', 'shrugging', { activity: byGender('1f937'), bust: true, stride: 2 }),
  articulated('pretraining', 'bow', 'bowing', { activity: byGender('1f647'), bust: true, stride: 2 }),
  articulated('pretraining', 'fly', 'flying', { travel: [4, 14], aloft: [8, 22] }),
  articulated('pretraining', 'swim', 'swimming', { travel: [4, 12], aloft: [3, 14] }),
  articulated('pretraining', 'nod', 'nodding', { stride: 2 }),
  articulated('pretraining', 'wag', 'wagging its tail', {}),
  articulated('pretraining', 'drive', 'driving', { travel: [12, 30] }),

  ...procedural('evaluation', 1, {
    roll: 'rolling',
    somersault: 'doing a somersault',
    zigzag: 'zigzagging through the air',
    pulse: 'pulsating',
    hop: 'hopping sideways',
    jelly: 'wobbling like jelly',
    spiral: 'spiralling upwards',
    topple: 'toppling over',
    'figure-eight': 'flying a figure eight',
    flutter: 'fluttering down like a leaf',
    blink: 'blinking in and out',
    headstand: 'standing on its head',
    pace: 'pacing back and forth',
  }),
  articulated('evaluation', 'cartwheel', 'turning cartwheels', { activity: byGender('1f938') }),
  articulated('evaluation', 'juggle', 'juggling', { activity: byGender('1f939'), bust: true }),
  articulated('evaluation', 'surf', 'surfing', { activity: byGender('1f3c4'), travel: [2, 8] }),
  articulated('evaluation', 'throw', 'throwing a ball', { activity: byGender('1f93e'), stride: 2 }),
  articulated('evaluation', 'facepalm', 'covering the face', {
    activity: byGender('1f926'),
    bust: true,
    stride: 2,
  }),
  articulated('evaluation', 'cross-arms', 'crossing the arms', {
    activity: byGender('1f645'),
    bust: true,
    stride: 2,
  }),
  articulated('evaluation', 'dance', 'dancing', { activity: dancing, stride: 2 }),
  articulated('evaluation', 'ride', 'riding a horse', { activity: horseRiding, travel: [8, 18] }),

  ...procedural('development', 1, {
    teleport: 'teleporting',
    stretch: 'stretching tall',
    orbit: 'circling on the ground',
  }),
  articulated('development', 'golf', 'playing golf', { activity: byGender('1f3cc'), stride: 2 }),
  articulated('development', 'climb', 'climbing a rock', { activity: byGender('1f9d7'), stride: 2 }),
];

/** The motion with this id; throws RangeError where there is none. */
export function motionById(id: string): Motion {
  const motion = MOTIONS.find((candidate) => candidate.id === id);
  if (motion === undefined) throw new RangeError(`no motion is called ${id}`);
  return motion;
}
