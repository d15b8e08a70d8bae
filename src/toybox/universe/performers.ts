/**
 * The people who perform articulated motions: three kinds by six tones of the same art, so that one motion is
 * performed by eighteen identities, as the clips of one UCF class are. They have first names because
 * their looks (shirt, hair, skin) have no short unique word.
 */
export interface Performer {
  readonly name: string;
  readonly classWord: 'person' | 'man' | 'woman';
  /** Code point of the skin tone, or '' for the default. */
  readonly tone: string;
}

const TONES = ['', '1f3fb', '1f3fc', '1f3fd', '1f3fe', '1f3ff'] as const;

const NAMES = {
  person: ['robin', 'sasha', 'quinn', 'jamie', 'alex', 'kai'],
  man: ['tom', 'max', 'leo', 'luis', 'amir', 'kofi'],
  woman: ['eva', 'mia', 'ella', 'lina', 'zara', 'nia'],
} as const;

export const PERFORMERS: readonly Performer[] = (['person', 'man', 'woman'] as const).flatMap((classWord) =>
  TONES.map((tone, index) => ({ name: NAMES[classWord][index], classWord, tone })),
);

const GENDER_SIGN = { person: '', man: '-200d-2642', woman: '-200d-2640' } as const;

/** The key of an activity that Unicode writes as activity + tone + gender sign, e.g. `1f3c3-1f3fb-200d-2640`. */
export function activityKey(activity: string, performer: Performer): string {
  const tone = performer.tone === '' ? '' : `-${performer.tone}`;
  return `${activity}${tone}${GENDER_SIGN[performer.classWord]}`;
}

/** The person standing: the performer's still picture. */
export function standingKey(performer: Performer): string {
  return activityKey('1f9cd', performer);
}
