import type { Stage } from './motions.ts';

/** A named place: views of one panorama. */
export interface Scene {
  readonly id: string;
  /** What the caption says, with its preposition. */
  readonly phrase: string;
  readonly panorama: string;
  /** Directions to look in, degrees clockwise from the middle of the panorama. */
  readonly yaws: readonly number[];
  /** Luminance after tone mapping that the median of a view is brought to, 0–1 (night is dark). */
  readonly brightness: number;
  /** A colour grade of the view, per channel in linear light; the same light falls on the subject. */
  readonly grade?: readonly [red: number, green: number, blue: number];
  /** Colour of the light on the subject, per channel; 1 leaves the art as it is. */
  readonly light: readonly [red: number, green: number, blue: number];
  /** Darkness of the shadow under the subject, 0–1. */
  readonly shadow: number;
  /** 1: pretraining starts with it; 2: added later. */
  readonly stage: Stage;
}

type Look = Omit<Scene, 'id' | 'phrase' | 'panorama' | 'stage'>;

const scene = (stage: Stage, id: string, phrase: string, panorama: string, look: Look): Scene => ({
  stage,
  id,
  phrase,
  panorama,
  ...look,
});

export const SCENES: readonly Scene[] = [
  scene(1, 'forest', 'in the forest', 'forest', {
    yaws: [-150, -60, 0, 90],
    brightness: 0.3,
    light: [0.98, 1, 0.92],
    shadow: 0.5,
  }),
  scene(1, 'meadow', 'on the meadow', 'park', {
    yaws: [-150, -90, -30, 120],
    brightness: 0.42,
    light: [1, 1.02, 0.97],
    shadow: 0.45,
  }),
  scene(1, 'city', 'in the city', 'city', {
    yaws: [-150, -90, 30, 90],
    brightness: 0.4,
    light: [0.97, 0.98, 1.02],
    shadow: 0.4,
  }),
  scene(1, 'night', 'at night', 'night', {
    yaws: [-120, 0, 60, 120],
    brightness: 0.13,
    grade: [0.45, 0.75, 1.9],
    light: [0.7, 0.7, 0.8],
    shadow: 0.5,
  }),
  scene(1, 'sea', 'on the sea', 'sky', {
    yaws: [-120, -30, 60, 150],
    brightness: 0.5,
    light: [0.98, 1, 1.04],
    shadow: 0.3,
  }),
  scene(1, 'desert', 'in the desert', 'dawn', {
    yaws: [-180, -90, 30, 120],
    brightness: 0.42,
    light: [1.02, 0.96, 0.98],
    shadow: 0.4,
  }),
  scene(1, 'studio', 'in the studio', 'studio', {
    yaws: [-120, -90, -60, 90],
    brightness: 0.24,
    light: [1.02, 1.02, 1.02],
    shadow: 0.4,
  }),
  scene(1, 'plaza', 'on the plaza', 'sunset', {
    yaws: [-150, -90, -30, 60],
    brightness: 0.4,
    light: [1, 0.97, 0.95],
    shadow: 0.4,
  }),
  scene(1, 'factory', 'in the factory', 'workshop', {
    yaws: [-150, -90, 60, 120],
    brightness: 0.4,
    light: [1.01, 1, 0.95],
    shadow: 0.4,
  }),
  scene(1, 'apartment', 'in the apartment', 'apartment', {
    yaws: [-120, -30, 60, 120],
    brightness: 0.5,
    light: [1.03, 1, 0.94],
    shadow: 0.35,
  }),
  scene(1, 'ballroom', 'in the ballroom', 'hall', {
    yaws: [-150, -60, 30, 120],
    brightness: 0.4,
    light: [1, 0.99, 0.97],
    shadow: 0.4,
  }),
  scene(1, 'lobby', 'in the lobby', 'lobby', {
    yaws: [-150, -60, 0, 120],
    brightness: 0.5,
    light: [1.03, 1, 0.92],
    shadow: 0.35,
  }),
  scene(2, 'harbour', 'at the harbour', 'venice', {
    yaws: [-150, -90, 60, 120],
    brightness: 0.34,
    light: [0.93, 0.97, 1.04],
    shadow: 0.4,
  }),
  scene(2, 'field', 'on the field', 'sunrise', {
    yaws: [-150, -60, 30, 120],
    brightness: 0.38,
    light: [1.04, 1, 0.9],
    shadow: 0.45,
  }),
  scene(2, 'warehouse', 'in the warehouse', 'warehouse', {
    yaws: [-150, -60, 30, 120],
    brightness: 0.36,
    light: [0.98, 0.97, 0.92],
    shadow: 0.4,
  }),
  scene(2, 'laboratory', 'in the laboratory', 'lab', {
    yaws: [-150, -60, 30, 120],
    brightness: 0.42,
    light: [0.95, 1.02, 0.97],
    shadow: 0.35,
  }),
  scene(2, 'mall', 'in the mall', 'esplanade', {
    yaws: [-180, -60, 60, 120],
    brightness: 0.4,
    light: [1.03, 0.98, 0.94],
    shadow: 0.4,
  }),
  scene(2, 'bridge', 'on the bridge', 'bridge', {
    yaws: [-150, -60, 30, 120],
    brightness: 0.45,
    light: [0.96, 0.99, 1.03],
    shadow: 0.35,
  }),
];

/** The scene with this id; throws RangeError where there is none. */
export function sceneById(id: string): Scene {
  const found = SCENES.find((candidate) => candidate.id === id);
  if (found === undefined) throw new RangeError(`no scene is called ${id}`);
  return found;
}
