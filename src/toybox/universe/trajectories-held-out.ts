import { between, crossing, leap, type Pose, REST, sign, type TrajectoryMaker } from './trajectories.ts';

const TURN = 2 * Math.PI;
const smooth = (share: number): number => {
  const clamped = Math.min(Math.max(share, 0), 1);
  return clamped * clamped * (3 - 2 * clamped);
};
/** −1 … 1 … −1, straight lines, period 1. */
const zigzagWave = (phase: number): number => 4 * Math.abs(phase - Math.floor(phase + 0.5)) - 1;

/** Rolls along the ground, faster than its size asks for: a whole turn and more in nine frames. */
const roll: TrajectoryMaker = ({ stream, duration }) => {
  const direction = sign(stream);
  const way = crossing(stream, duration);
  const turns = between(stream, 1.05, 1.45) * (0.65 + duration / 3);
  const phase = stream.uniform() * TURN;
  return (t) => ({
    ...REST,
    x: direction * way * (t / duration - 0.5),
    rotation: phase + direction * TURN * turns * (t / duration),
  });
};

const somersault: TrajectoryMaker = ({ stream, height }) => {
  const direction = sign(stream);
  const period = between(stream, 0.85, 1.1);
  const top = between(stream, 0.6, 0.85) * height;
  const phase = between(stream, -0.15, 0.15);
  return (t) => {
    const at = phase + t / period;
    const share = at - Math.floor(at);
    const turn = smooth((share - 0.08) / 0.64);
    return { ...REST, ...leap(at, top, 0.8), rotation: direction * TURN * turn };
  };
};

const zigzag: TrajectoryMaker = ({ stream, duration }) => {
  const way = sign(stream) * crossing(stream, duration);
  const amplitude = between(stream, 8, 11);
  const frequency = between(stream, 1.1, 1.5);
  const phase = stream.uniform();
  const base = between(stream, 3, 6);
  return (t) => ({
    ...REST,
    x: way * (t / duration - 0.5),
    lift: base + amplitude * (1 + zigzagWave(phase + frequency * t)),
  });
};

const pulse: TrajectoryMaker = ({ stream }) => {
  const frequency = between(stream, 1.5, 2.1);
  const amplitude = between(stream, 0.2, 0.3);
  const phase = stream.uniform() * TURN;
  return (t) => {
    const scale = 1 + amplitude * Math.sin(phase + frequency * TURN * t);
    return { ...REST, scaleX: scale, scaleY: scale };
  };
};

const hop: TrajectoryMaker = ({ stream, duration }) => {
  const direction = sign(stream);
  const way = direction * crossing(stream, duration);
  const period = between(stream, 0.34, 0.42);
  const top = between(stream, 6, 9);
  return (t) => {
    const hops = t / period;
    // Moves in the air only, and leans into the direction it goes.
    const share = Math.min((hops - Math.floor(hops)) / 0.8, 1);
    const x = way * (((Math.floor(hops) + share) * period) / duration - 0.5);
    return { ...REST, ...leap(hops, top, 0.8), x, rotation: 0.18 * direction * Math.sin(Math.PI * share) };
  };
};

const jelly: TrajectoryMaker = ({ stream }) => {
  const frequency = between(stream, 1.2, 1.7);
  const amplitude = between(stream, 0.3, 0.4);
  const phase = stream.uniform() * TURN;
  return (t) => {
    const wave = Math.sin(phase + frequency * TURN * t);
    return { ...REST, scaleX: 1 - 0.75 * amplitude * wave, scaleY: 1 + amplitude * wave };
  };
};

/** A helix seen from the side: nearer in front, smaller behind. */
const spiral: TrajectoryMaker = ({ stream, duration }) => {
  const radius = between(stream, 9, 13);
  const speed = sign(stream) * between(stream, 0.9, 1.2) * TURN;
  const phase = stream.uniform() * TURN;
  const rise = between(stream, 18, 26);
  return (t) => {
    const size = 1 + 0.22 * Math.sin(phase + speed * t);
    return {
      ...REST,
      x: radius * Math.cos(phase + speed * t),
      lift: (rise * t) / duration,
      scaleX: size,
      scaleY: size,
    };
  };
};

const topple: TrajectoryMaker = ({ stream, duration, height }) => {
  const direction = sign(stream);
  const start = between(stream, 0.15, 0.35) * duration;
  const fallTime = between(stream, 0.35, 0.5);
  return (t) => {
    const share = Math.max(0, (t - start) / fallTime);
    const rebound = share > 1 ? 0.12 * Math.sin(Math.min(share - 1, 0.6) * (Math.PI / 0.6)) : 0;
    const rotation = direction * (Math.PI / 2) * (Math.min(share, 1) ** 2 - rebound);
    return { ...REST, x: 0.45 * height * Math.sin(rotation), rotation };
  };
};

const figureEight: TrajectoryMaker = ({ stream }) => {
  const width = between(stream, 12, 15);
  const height = between(stream, 7, 9);
  const speed = sign(stream) * between(stream, 0.75, 0.95) * TURN;
  const phase = stream.uniform() * TURN;
  const base = between(stream, 3, 7);
  return (t) => ({
    ...REST,
    x: width * Math.sin(phase + speed * t),
    lift: base + height * (1 + Math.sin(2 * (phase + speed * t))),
  });
};

const flutter: TrajectoryMaker = ({ stream, duration }) => {
  const from = between(stream, 28, 36);
  const width = between(stream, 7, 10);
  const frequency = between(stream, 0.9, 1.3);
  const phase = stream.uniform() * TURN;
  return (t) => {
    const angle = phase + frequency * TURN * t;
    const dip = 2 * Math.sin(angle) ** 2;
    return {
      ...REST,
      x: width * Math.sin(angle),
      lift: Math.max(0, from * (1 - t / duration) + dip),
      rotation: -0.55 * Math.cos(angle),
    };
  };
};

const blink: TrajectoryMaker = ({ stream }) => {
  const period = between(stream, 0.5, 0.75);
  const phase = stream.uniform();
  return (t) => {
    const share = phase + t / period - Math.floor(phase + t / period);
    return { ...REST, opacity: share < 0.5 ? 1 : 0 };
  };
};

const headstand: TrajectoryMaker = ({ stream, height }) => {
  const direction = sign(stream);
  const period = between(stream, 1.3, 1.7);
  const phase = between(stream, -0.15, 0.25);
  return (t) => {
    const share = phase + t / period - Math.floor(phase + t / period);
    // Up, hold, back, rest.
    const turned = share < 0.5 ? smooth((share - 0.02) / 0.18) : 1 - smooth((share - 0.62) / 0.18);
    return {
      ...REST,
      rotation: direction * Math.PI * turned,
      lift: 0.15 * height * Math.sin(Math.PI * turned),
    };
  };
};

const pace: TrajectoryMaker = ({ stream }) => {
  const amplitude = between(stream, 9, 14);
  const period = between(stream, 0.9, 1.25);
  const phase = stream.uniform();
  return (t) => {
    const at = phase + t / period;
    const forth = at - Math.floor(at) < 0.5 ? -1 : 1;
    return {
      ...REST,
      x: amplitude * zigzagWave(at),
      scaleX: forth,
      lift: 1.5 * Math.abs(Math.sin(4 * TURN * at)),
    };
  };
};

const teleport: TrajectoryMaker = ({ stream }) => {
  const period = between(stream, 0.37, 0.5);
  const reach = between(stream, 11, 15);
  const first = sign(stream);
  const lifts = Array.from({ length: 8 }, () => between(stream, 0, 12));
  return (t) => {
    const place = Math.floor(t / period);
    return { ...REST, x: first * reach * (place % 2 === 0 ? 1 : -1), lift: lifts[place % lifts.length] };
  };
};

const stretch: TrajectoryMaker = ({ stream }) => {
  const frequency = between(stream, 0.7, 0.95);
  const amount = between(stream, 0.55, 0.8);
  const phase = between(stream, -0.1, 0.2);
  return (t) => {
    const wave = Math.sin(Math.PI * (phase + frequency * t)) ** 2;
    return { ...REST, scaleX: 1 - 0.25 * wave, scaleY: 1 + amount * wave };
  };
};

const orbit: TrajectoryMaker = ({ stream }) => {
  const width = between(stream, 11, 15);
  const depth = between(stream, 0.2, 0.28);
  const speed = sign(stream) * between(stream, 0.7, 1) * TURN;
  const phase = stream.uniform() * TURN;
  return (t): Pose => ({
    ...REST,
    x: width * Math.cos(phase + speed * t),
    nearness: 1 / (1 + depth * Math.sin(phase + speed * t)),
  });
};

/** The trajectories of the evaluation and development motions, by motion id. */
export const HELD_OUT_TRAJECTORIES: Readonly<Record<string, TrajectoryMaker>> = {
  roll,
  somersault,
  zigzag,
  pulse,
  hop,
  jelly,
  spiral,
  topple,
  'figure-eight': figureEight,
  flutter,
  blink,
  headstand,
  pace,
  teleport,
  stretch,
  orbit,
};
