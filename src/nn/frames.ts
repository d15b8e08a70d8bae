import type { Value } from '../graph/index.ts';
import * as g from '../graph/index.ts';

/** A clip as separate frames [B, C, H, W]; a frame that is shown several times is one value. */
export type Frames = readonly Value[];

/** f of every frame, once for each distinct one. */
export function mapFrames(frames: Frames, f: (frame: Value) => Value): Frames {
  const done = new Map<Value, Value>();
  return frames.map((frame) => {
    const known = done.get(frame);
    if (known) return known;
    const result = f(frame);
    done.set(frame, result);
    return result;
  });
}

/** f of corresponding frames, once for each distinct pair. */
export function zipFrames(a: Frames, b: Frames, f: (a: Value, b: Value) => Value): Frames {
  const done = new Map<Value, Map<Value, Value>>();
  return a.map((left, i) => {
    const row = done.get(left) ?? new Map<Value, Value>();
    done.set(left, row);
    const known = row.get(b[i]);
    if (known) return known;
    const result = f(left, b[i]);
    row.set(b[i], result);
    return result;
  });
}

/** The frames of a video [B, F, C, H, W]. */
export function unstackFrames(video: Value): Frames {
  const [batch, frames, ...image] = video.shape;
  return Array.from({ length: frames }, (_, f) => g.reshape(g.slice(video, 1, f, f + 1), [batch, ...image]));
}

/** The video [B, F, C, H, W] of frames. */
export function stackFrames(frames: Frames): Value {
  const [batch, ...image] = frames[0].shape;
  return g.concat(
    frames.map((frame) => g.reshape(frame, [batch, 1, ...image])),
    1,
  );
}
