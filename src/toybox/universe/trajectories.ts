import type { RandomStream } from '../../tensor/random.ts';

/** Where and how a subject stands at one moment. */
export interface Pose {
  /** Pixels to the right of the place where it stands. */
  readonly x: number;
  /** Pixels between its lowest point and the ground. */
  readonly lift: number;
  /** Stretch along its own axes; a negative scaleX shows its mirror image. */
  readonly scaleX: number;
  readonly scaleY: number;
  /** Radians, clockwise. */
  readonly rotation: number;
  readonly opacity: number;
  /** Nearness: 2 is half as far from the camera, so twice as large and lower in the picture. */
  readonly nearness: number;
}

export const REST: Pose = {
  x: 0,
  lift: 0,
  scaleX: 1,
  scaleY: 1,
  rotation: 0,
  opacity: 1,
  nearness: 1,
};

/** The pose at a time, in seconds from the clip's start. */
export type Trajectory = (seconds: number) => Pose;

export interface TrajectoryRequest {
  readonly stream: RandomStream;
  /** Seconds between the first and the last frame. */
  readonly duration: number;
  /** Height and width of the subject at rest, in pixels. */
  readonly height: number;
  readonly width: number;
}

export type TrajectoryMaker = (request: TrajectoryRequest) => Trajectory;

export const between = (stream: RandomStream, low: number, high: number): number =>
  low + (high - low) * stream.uniform();

export const sign = (stream: RandomStream): 1 | -1 => (stream.integer(2) === 0 ? 1 : -1);

const TURN = 2 * Math.PI;

/** Pixels that a subject crosses: further in a longer clip, but always inside the picture. */
export function crossing(stream: RandomStream, duration: number): number {
  return between(stream, 20, 32) * Math.min(1.35, 0.65 + duration / 3);
}

const slide =
  (direction: 1 | -1): TrajectoryMaker =>
  ({ stream, duration }) => {
    const way = direction * crossing(stream, duration);
    return (t) => ({ ...REST, x: way * (t / duration - 0.5) });
  };

/** A leap from and back to the place, with a squash where it lands. `airborne` is the share of time in the air. */
export function leap(
  phase: number,
  height: number,
  airborne: number,
): Pick<Pose, 'lift' | 'scaleX' | 'scaleY'> {
  const share = phase - Math.floor(phase);
  if (share < airborne) {
    const rise = share / airborne;
    return { lift: 4 * height * rise * (1 - rise), scaleX: 0.96, scaleY: 1.05 };
  }
  const squash = Math.sin((Math.PI * (share - airborne)) / (1 - airborne));
  return { lift: 0, scaleX: 1 + 0.15 * squash, scaleY: 1 - 0.2 * squash };
}

const jump: TrajectoryMaker = ({ stream, height }) => {
  const period = between(stream, 0.55, 0.85);
  const top = between(stream, 0.5, 0.85) * height;
  const phase = stream.uniform();
  return (t) => ({ ...REST, ...leap(phase + t / period, top, 0.72) });
};

const spin: TrajectoryMaker = ({ stream }) => {
  const speed = sign(stream) * between(stream, 0.6, 1.1) * TURN;
  const phase = stream.uniform() * TURN;
  return (t) => ({ ...REST, scaleX: Math.cos(phase + speed * t) });
};

const resize =
  (from: readonly [number, number], to: readonly [number, number]): TrajectoryMaker =>
  ({ stream, duration }) => {
    const start = between(stream, ...from);
    const end = between(stream, ...to);
    return (t) => {
      const scale = start * (end / start) ** (t / duration);
      return { ...REST, scaleX: scale, scaleY: scale };
    };
  };

const shake: TrajectoryMaker = ({ stream }) => {
  const frequency = between(stream, 2.5, 3.5);
  const amplitude = between(stream, 2.5, 4.5);
  const tilt = between(stream, 0.04, 0.12);
  const phase = stream.uniform() * TURN;
  return (t) => {
    const swing = Math.sin(phase + frequency * TURN * t);
    return { ...REST, x: amplitude * swing, rotation: tilt * swing };
  };
};

/** A pendulum that hangs from a point above the subject. */
const swing: TrajectoryMaker = ({ stream }) => {
  const length = between(stream, 14, 24);
  const amplitude = between(stream, 0.5, 0.8);
  const frequency = between(stream, 0.7, 1.1);
  const phase = stream.uniform() * TURN;
  const base = between(stream, 2, 7);
  return (t) => {
    const angle = amplitude * Math.sin(phase + frequency * TURN * t);
    return {
      ...REST,
      x: length * Math.sin(angle),
      lift: base + length * (1 - Math.cos(angle)),
      rotation: -angle,
    };
  };
};

const circle: TrajectoryMaker = ({ stream }) => {
  const radius = between(stream, 7, 11);
  const speed = sign(stream) * between(stream, 0.6, 1) * TURN;
  const phase = stream.uniform() * TURN;
  const base = between(stream, 3, 8);
  return (t) => ({
    ...REST,
    x: radius * Math.cos(phase + speed * t),
    lift: base + radius * (1 + Math.sin(phase + speed * t)),
  });
};

/** Free fall onto the ground, one small bounce. */
const fall: TrajectoryMaker = ({ stream, duration }) => {
  const from = between(stream, 24, 36);
  const landing = between(stream, 0.55, 0.8) * duration;
  const bounce = between(stream, 0.08, 0.18) * from;
  const bounceTime = 2 * landing * Math.sqrt(bounce / from);
  return (t) => {
    if (t < landing) return { ...REST, lift: from * (1 - (t / landing) ** 2) };
    const share = Math.min((t - landing) / bounceTime, 1);
    return { ...REST, lift: 4 * bounce * share * (1 - share) };
  };
};

const float: TrajectoryMaker = ({ stream, duration }) => {
  const rise = between(stream, 18, 28);
  const start = between(stream, 0, 3);
  const drift = between(stream, 1, 2.5);
  const phase = stream.uniform() * TURN;
  return (t) => {
    const sway = Math.sin(phase + 0.8 * TURN * t);
    return { ...REST, x: drift * sway, lift: start + (rise * t) / duration, rotation: 0.08 * sway };
  };
};

const rock: TrajectoryMaker = ({ stream, height }) => {
  const amplitude = between(stream, 0.28, 0.45);
  const frequency = between(stream, 0.8, 1.3);
  const phase = stream.uniform() * TURN;
  return (t) => {
    const rotation = amplitude * Math.sin(phase + frequency * TURN * t);
    return { ...REST, x: 0.4 * height * Math.sin(rotation), rotation };
  };
};

const travelInDepth =
  (from: readonly [number, number], to: readonly [number, number]): TrajectoryMaker =>
  ({ stream, duration }) => {
    const start = between(stream, ...from);
    const end = between(stream, ...to);
    // Constant speed along the ground: the distance, the inverse of nearness, is linear in time.
    return (t) => ({ ...REST, nearness: 1 / (1 / start + (1 / end - 1 / start) * (t / duration)) });
  };

/** The trajectories of the pretraining motions, by motion id. */
export const PRETRAINING_TRAJECTORIES: Readonly<Record<string, TrajectoryMaker>> = {
  'slide-left': slide(-1),
  'slide-right': slide(1),
  jump,
  spin,
  grow: resize([0.42, 0.6], [1.15, 1.4]),
  shrink: resize([1.15, 1.4], [0.38, 0.55]),
  shake,
  swing,
  circle,
  fall,
  float,
  rock,
  approach: travelInDepth([0.5, 0.62], [1.15, 1.4]),
  retreat: travelInDepth([1.15, 1.4], [0.5, 0.62]),
};
