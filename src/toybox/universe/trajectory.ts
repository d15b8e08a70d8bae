import type { RandomStream } from '../../tensor/random.ts';
import { FREE_TRAJECTORIES } from './free-motions.ts';
import type { ArticulatedMotion, Motion } from './motions.ts';
import {
  between,
  PRETRAINING_TRAJECTORIES,
  REST,
  type Trajectory,
  type TrajectoryRequest,
} from './trajectories.ts';
import { HELD_OUT_TRAJECTORIES } from './trajectories-held-out.ts';

const TRAJECTORIES = { ...PRETRAINING_TRAJECTORIES, ...FREE_TRAJECTORIES, ...HELD_OUT_TRAJECTORIES };

interface Frame extends Omit<TrajectoryRequest, 'stream'> {
  /** 1 where the subject looks to the right, else −1. */
  readonly direction: 1 | -1;
}

/** How a subject moves through the picture: still, along a procedural trajectory, or with its own animation. */
export function trajectoryOf(stream: RandomStream, motion: Motion | undefined, frame: Frame): Trajectory {
  if (motion === undefined) {
    const rotation = between(stream, -0.12, 0.12);
    return () => ({ ...REST, rotation });
  }
  if (motion.kind === 'articulated') return travel(stream, motion, frame);
  const make = TRAJECTORIES[motion.id];
  if (make === undefined) throw new RangeError(`no trajectory is called ${motion.id}`);
  return make({ stream, ...frame });
}

function travel(stream: RandomStream, motion: ArticulatedMotion, { duration, direction }: Frame): Trajectory {
  const speed = motion.travel === undefined ? 0 : direction * between(stream, ...motion.travel);
  const height = motion.aloft === undefined ? 0 : between(stream, ...motion.aloft);
  const bob = motion.aloft === undefined ? 0 : between(stream, 0.5, 2);
  const phase = stream.uniform() * 2 * Math.PI;
  return (t) => ({
    ...REST,
    x: speed * (t - duration / 2),
    lift: Math.max(0, height + bob * Math.sin(phase + 0.9 * 2 * Math.PI * t)),
  });
}
