import type { ProceduralMotion } from './motions.ts';
import {
  between,
  type Pose,
  REST,
  sign,
  type TrajectoryMaker,
  type TrajectoryRequest,
} from './trajectories.ts';

const TURN = 2 * Math.PI;

/** One of the ways in which a subject's pose changes, of which a free motion puts several together. */
interface Element {
  readonly id: string;
  /** Words of a caption; undefined where nothing happens. Only words that the text encoder knows. */
  readonly phrase?: string;
  readonly make: (request: TrajectoryRequest) => (t: number) => Partial<Pose>;
}

const nothing: Element = { id: 'none', make: () => () => ({}) };

/** 0 … 1 over the clip, speeding up or slowing down. */
const paced = ({ stream, duration }: TrajectoryRequest): ((t: number) => number) => {
  const power = 2 ** between(stream, -0.7, 0.7);
  return (t) => Math.min(t / duration, 1) ** power;
};

const along =
  (direction: 1 | -1): Element['make'] =>
  (request) => {
    const { stream } = request;
    const way = direction * between(stream, 14, 34);
    const [from, to] = [between(stream, 0, 14), between(stream, 0, 14)];
    const share = paced(request);
    return (t) => ({ x: way * (share(t) - 0.5), lift: from + (to - from) * share(t) });
  };

const upright =
  (direction: 1 | -1): Element['make'] =>
  (request) => {
    const { stream } = request;
    const low = between(stream, 0, 4);
    const rise = between(stream, 12, 26);
    const drift = between(stream, -7, 7);
    const share = paced(request);
    return (t) => {
      const height = direction === 1 ? share(t) : 1 - share(t);
      return { x: drift * (share(t) - 0.5), lift: low + rise * height };
    };
  };

/** A curve without loops: quadratic, through random points. */
const around: Element['make'] = (request) => {
  const { stream } = request;
  const points = Array.from({ length: 3 }, () => [between(stream, -15, 15), between(stream, 0, 24)]);
  const share = paced(request);
  return (t) => {
    const s = share(t);
    const at = (axis: number) =>
      (1 - s) ** 2 * points[0][axis] + 2 * s * (1 - s) * points[1][axis] + s ** 2 * points[2][axis];
    return { x: at(0), lift: at(1) };
  };
};

const sway =
  (axis: 'x' | 'lift'): Element['make'] =>
  ({ stream }) => {
    const amplitude = axis === 'x' ? between(stream, 5, 13) : between(stream, 3, 9);
    const frequency = between(stream, 0.5, 1.4);
    const phase = stream.uniform() * TURN;
    const base = between(stream, 0, 8);
    return (t) => {
      const wave = amplitude * Math.sin(phase + frequency * TURN * t);
      return axis === 'x' ? { x: wave, lift: base } : { lift: base + amplitude + wave };
    };
  };

const ellipse: Element['make'] = ({ stream }) => {
  const [across, high] = [between(stream, 5, 13), between(stream, 4, 11)];
  const speed = sign(stream) * between(stream, 0.35, 0.8) * TURN;
  const phase = stream.uniform() * TURN;
  const base = between(stream, 0, 6);
  return (t) => ({
    x: across * Math.cos(phase + speed * t),
    lift: base + high * (1 + Math.sin(phase + speed * t)),
  });
};

/** One leap from one place to another. */
const leapAcross =
  (direction: 1 | -1): Element['make'] =>
  ({ stream, duration }) => {
    const way = direction * between(stream, 14, 30);
    const top = between(stream, 9, 24);
    const start = between(stream, 0, 0.25) * duration;
    const airborne = between(stream, 0.55, 0.95) * duration;
    return (t) => {
      const share = Math.min(Math.max((t - start) / airborne, 0), 1);
      return { x: way * (share - 0.5), lift: 4 * top * share * (1 - share) };
    };
  };

const PATHS: readonly Element[] = [
  nothing,
  { id: 'left', phrase: 'moving to the left', make: along(-1) },
  { id: 'right', phrase: 'moving to the right', make: along(1) },
  { id: 'up', phrase: 'moving up', make: upright(1) },
  { id: 'down', phrase: 'moving down', make: upright(-1) },
  { id: 'around', phrase: 'moving around', make: around },
  { id: 'sideways', phrase: 'moving sideways', make: sway('x') },
  { id: 'up-and-down', phrase: 'moving up and down', make: sway('lift') },
  { id: 'circles', phrase: 'moving in circles', make: ellipse },
  { id: 'leap-left', phrase: 'jumping to the left', make: leapAcross(-1) },
  { id: 'leap-right', phrase: 'jumping to the right', make: leapAcross(1) },
];

const turning: Element['make'] = ({ stream }) => {
  const speed = sign(stream) * between(stream, 0.15, 0.8) * TURN;
  const start = stream.integer(2) === 0 ? 0 : stream.uniform() * TURN;
  return (t) => ({ rotation: start + speed * t });
};

/** From one angle to another, at most a third of a turn away, and there it stays. */
const tilting: Element['make'] = ({ stream, duration }) => {
  const from = stream.integer(2) === 0 ? 0 : between(stream, -1, 1);
  const by = sign(stream) * between(stream, 0.7, TURN / 3);
  const start = between(stream, 0, 0.4) * duration;
  const length = between(stream, 0.3, 0.6) * duration;
  return (t) => {
    const share = Math.min(Math.max((t - start) / length, 0), 1);
    return { rotation: from + by * share * share * (3 - 2 * share) };
  };
};

const rocking: Element['make'] = ({ stream }) => {
  const amplitude = between(stream, 0.15, 0.6);
  const frequency = between(stream, 0.5, 1.5);
  const phase = stream.uniform() * TURN;
  return (t) => ({ rotation: amplitude * Math.sin(phase + frequency * TURN * t) });
};

const spinning: Element['make'] = ({ stream }) => {
  const speed = sign(stream) * between(stream, 0.4, 1) * TURN;
  const phase = stream.uniform() * TURN;
  return (t) => ({ scaleX: Math.cos(phase + speed * t) });
};

const TURNS: readonly Element[] = [
  nothing,
  { id: 'turning', phrase: 'turning', make: turning },
  { id: 'tilting', phrase: 'turning sideways', make: tilting },
  { id: 'rocking', phrase: 'rocking', make: rocking },
  { id: 'spinning', phrase: 'spinning', make: spinning },
];

const resized =
  (toX: readonly [number, number], toY: readonly [number, number], fromBoth: readonly [number, number]) =>
  (request: TrajectoryRequest) => {
    const { stream } = request;
    const [from, x, y] = [between(stream, ...fromBoth), between(stream, ...toX), between(stream, ...toY)];
    const share = paced(request);
    return (t: number) => ({ scaleX: from + (x - from) * share(t), scaleY: from + (y - from) * share(t) });
  };

/** The same change of both sides. */
const resizedAlike =
  (fromRange: readonly [number, number], toRange: readonly [number, number]): Element['make'] =>
  (request) => {
    const { stream } = request;
    const [from, to] = [between(stream, ...fromRange), between(stream, ...toRange)];
    const share = paced(request);
    return (t) => {
      const scale = from + (to - from) * share(t);
      return { scaleX: scale, scaleY: scale };
    };
  };

/** Larger and back, once. */
const swelling: Element['make'] = ({ stream, duration }) => {
  const amount = between(stream, 0.2, 0.5);
  const small = between(stream, 0.7, 0.95);
  const shift = between(stream, -0.2, 0.2);
  return (t) => {
    const scale = small + amount * Math.sin(Math.PI * Math.min(Math.max(t / duration + shift, 0), 1)) ** 2;
    return { scaleX: scale, scaleY: scale };
  };
};

const SIZES: readonly Element[] = [
  nothing,
  { id: 'growing', phrase: 'growing', make: resizedAlike([0.5, 0.75], [1.1, 1.35]) },
  { id: 'shrinking', phrase: 'shrinking', make: resizedAlike([1.1, 1.3], [0.45, 0.7]) },
  { id: 'tall', phrase: 'growing tall', make: resized([0.7, 0.95], [1.25, 1.6], [0.85, 1]) },
  { id: 'wide', phrase: 'growing sideways', make: resized([1.25, 1.6], [0.6, 0.9], [0.85, 1]) },
  { id: 'swelling', phrase: 'growing and shrinking', make: swelling },
];

/** Turning on while it crosses the picture is next to two held-out motions: rolling and the somersault. */
const ACROSS = new Set(['left', 'right', 'leap-left', 'leap-right']);
const isLeftOut = (path: Element, turn: Element, size: Element): boolean => {
  if (turn.id === 'turning' && ACROSS.has(path.id)) return true;
  const moving = [path, turn, size].filter((element) => element !== nothing);
  // Nothing at all, or one thing alone that has a motion of its own.
  return (
    moving.length === 0 ||
    (moving.length === 1 && ['growing', 'shrinking', 'spinning'].includes(moving[0].id))
  );
};

const COMPOSED = PATHS.flatMap((path) =>
  TURNS.flatMap((turn) => SIZES.map((size) => ({ path, turn, size }))),
).filter(({ path, turn, size }) => !isLeftOut(path, turn, size));

const idOf = (...elements: readonly Element[]): string =>
  ['free', ...elements.filter((element) => element !== nothing).map(({ id }) => id)].join('-');

/**
 * Motions put together from a path, a turn and a change of size, each drawn anew for every clip. They are in the
 * pretraining universe from stage 3 on, so that the base knows how things look while they turn, tilt and travel
 * before a customization says when. No held-out motion's own rule is among them: none hops on, zigzags, vanishes, comes
 * back from standing on its head, draws an eight, or repeats a change of size. Some come near: what turns along a
 * curve, or while it moves up and down, is no somersault and no rolling, but has a leap's height and up to 0.8 of a turn.
 */
export const FREE_MOTIONS: readonly ProceduralMotion[] = COMPOSED.map(({ path, turn, size }) => ({
  kind: 'procedural',
  id: idOf(path, turn, size),
  phrase: [path, turn, size].flatMap(({ phrase }) => phrase ?? []).join(' and '),
  purpose: 'pretraining',
  stage: 3,
}));

const composed =
  (elements: readonly Element[]): TrajectoryMaker =>
  (request) => {
    const parts = elements.map(({ make }) => make(request));
    return (t) => {
      const poses = parts.map((part) => part(t));
      const pose: Pose = Object.assign({}, REST, ...poses);
      const stretch = (axis: 'scaleX' | 'scaleY') =>
        poses.reduce((product, one) => product * (one[axis] ?? 1), 1);
      return { ...pose, scaleX: stretch('scaleX'), scaleY: stretch('scaleY') };
    };
  };

/** The trajectories of {@link FREE_MOTIONS}, by motion id. */
export const FREE_TRAJECTORIES: Readonly<Record<string, TrajectoryMaker>> = Object.fromEntries(
  COMPOSED.map(({ path, turn, size }) => [idOf(path, turn, size), composed([path, turn, size])]),
);
