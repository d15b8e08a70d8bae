import type { RandomStream } from '../../tensor/random.ts';
import type { Atlas } from './atlas.ts';
import { CLIP_SIZE, type Window } from './composite.ts';
import { VIEW } from './perspective.ts';
import type { Content } from './plan.ts';
import type { Sprite } from './sprite.ts';
import { between, type Pose, REST, type Trajectory } from './trajectories.ts';
import { trajectoryOf } from './trajectory.ts';

export const FPS = 8;

/** Everything random about a clip, drawn: rendering adds nothing. */
export interface Layout {
  readonly sprite: Sprite;
  /** First frame of the animation, and by how many it goes on each frame; it wraps around. */
  readonly firstFrame: number;
  readonly stride: number;
  readonly flipped: boolean;
  readonly viewIndex: number;
  /** The camera's window at the first frame, and its drift in view pixels a frame. */
  readonly window: Window;
  readonly drift: readonly [x: number, y: number];
  /** Canvas pixels of the horizon, of the ground under the subject, and from the left to it. */
  readonly horizon: number;
  readonly ground: number;
  readonly x: number;
  /** Pixels of the art's canvas at nearness 1. */
  readonly size: number;
  readonly poses: readonly Pose[];
  readonly viewGain: readonly number[];
  readonly subjectGain: readonly number[];
  /** 0 casts none. */
  readonly shadow: number;
}

/** The sprite's ellipse (its extent's) turned: half its width and half its height. */
export function reach(sprite: Sprite, size: number, pose: Pose): { halfWidth: number; halfHeight: number } {
  const { left, right, top, bottom } = sprite.extent;
  const a = ((right - left) / 2) * size * Math.abs(pose.scaleX) * pose.nearness;
  const b = ((bottom - top) / 2) * size * Math.abs(pose.scaleY) * pose.nearness;
  const cos = Math.cos(pose.rotation);
  const sin = Math.sin(pose.rotation);
  return { halfWidth: Math.hypot(a * cos, b * sin), halfHeight: Math.hypot(a * sin, b * cos) };
}

/** Canvas row of the ground where the subject stands. */
export function groundAt(horizon: number, ground: number, pose: Pose): number {
  return horizon + (ground - horizon) * pose.nearness;
}

/** Pixels that may lie above the picture, and the share of half the width that may lie beside it. */
const OVERHANG = 2;
const SIDE_OVERHANG = 0.15;

/** Slim figures, and limbs in motion, need more size to be read. */
function roomFor({ extent }: Sprite, isArticulated: boolean): number {
  if (isArticulated) return 1.2;
  const fill = Math.sqrt((extent.right - extent.left) * (extent.bottom - extent.top));
  return Math.min(Math.max(0.75 / fill, 0.95), 1.25);
}

/**
 * Draws where everything is in sample's clip of `frames` frames.
 * @param way what the motion's direction, speed, extent and (but for animations) beginning are drawn from: clips that
 *   are given equal streams show the motion done the same way. Default: the clip's own stream
 */
export function layOut(
  stream: RandomStream,
  atlas: Atlas,
  content: Content,
  frames: number,
  way: RandomStream = stream,
): Layout {
  const { subject, motion, scene } = content;
  const articulated = motion?.kind === 'articulated' ? motion : undefined;
  const sprite =
    articulated === undefined
      ? atlas.still(subject.still)
      : atlas.animation(subject.animations[articulated.id]);

  const side = CLIP_SIZE * between(stream, 1, 1.2);
  const top = between(stream, 10, 20);
  const left = between(stream, 2, VIEW.width - side - 2);
  const window: Window = { left, top, side };
  const drift = [between(stream, -0.12, 0.12), between(stream, -0.05, 0.05)] as const;
  const horizon = ((VIEW.horizon - top) * CLIP_SIZE) / side;
  const viewIndex = stream.integer(scene.yaws.length);

  const exposure = between(stream, 0.9, 1.04);
  const warmth = between(stream, -0.04, 0.04);
  const tint = [exposure * (1 + warmth), exposure, exposure * (1 - warmth)];
  const ownLight = between(stream, 0.94, 1.02);
  const common = {
    sprite,
    firstFrame: stream.integer(sprite.frames),
    stride: articulated?.stride ?? 1,
    // An animated subject goes where it looks; a still one may look either way.
    flipped: (articulated === undefined ? stream : way).integer(2) === 1,
    viewIndex,
    window,
    drift,
    horizon,
    viewGain: tint,
    subjectGain: tint.map((gain, c) => gain * ownLight * scene.light[c]),
  };
  // A single picture shows a moment of a clip of nine frames.
  const clipFrames = frames === 1 ? 9 : frames;
  const from = frames === 1 ? stream.integer(clipFrames) : 0;
  const duration = (clipFrames - 1) / FPS;
  const sampled = (trajectory: Trajectory) =>
    Array.from({ length: frames }, (_, frame) => trajectory((from + frame) / FPS));

  if (articulated?.bust === true) {
    // A portrait: cut by the lower edge of the picture.
    const ground = CLIP_SIZE + between(stream, 0, 2);
    const size = between(stream, 40, 54);
    const poses = Array.from({ length: frames }, () => REST);
    return { ...common, ...place(stream, sprite, size, ground, horizon, poses), poses, shadow: 0 };
  }

  const ground = between(stream, 46, 59);
  const room = roomFor(sprite, articulated !== undefined);
  const size = room * Math.min(Math.max((ground - horizon) * between(stream, 1.15, 1.6), 28), 46);
  const { extent } = sprite;
  const direction = (subject.faces === 'right') === common.flipped ? -1 : 1;
  const trajectory = trajectoryOf(way, motion, {
    duration,
    height: (extent.bottom - extent.top) * size,
    width: (extent.right - extent.left) * size,
    direction,
  });
  const poses = sampled(trajectory);
  return { ...common, ...place(stream, sprite, size, ground, horizon, poses), poses, shadow: scene.shadow };
}

/** Fits the moving subject into the picture: first lower, then smaller; then anywhere it fits from left to right. */
function place(
  stream: RandomStream,
  sprite: Sprite,
  wantedSize: number,
  wantedGround: number,
  horizon: number,
  poses: readonly Pose[],
): { size: number; ground: number; x: number } {
  const highest = (size: number, ground: number) =>
    Math.min(
      ...poses.map(
        (pose) =>
          groundAt(horizon, ground, pose) - pose.lift - 2 * reach(sprite, size, pose).halfHeight + OVERHANG,
      ),
    );
  let ground = wantedGround;
  let size = wantedSize;
  const excess = highest(size, ground);
  if (excess < 0) ground = Math.min(ground - excess, Math.max(ground, CLIP_SIZE - 3));
  for (let attempt = 0; attempt < 4 && highest(size, ground) < 0; attempt++) size *= 0.92;

  const inside = 1 - SIDE_OVERHANG;
  const leftmost = Math.min(...poses.map((pose) => pose.x - inside * reach(sprite, size, pose).halfWidth));
  const rightmost = Math.max(...poses.map((pose) => pose.x + inside * reach(sprite, size, pose).halfWidth));
  const low = -leftmost;
  const high = CLIP_SIZE - rightmost;
  const x = low < high ? between(stream, low, high) : (low + high) / 2;
  return { size, ground, x };
}
