import { MediaError } from './errors.ts';

/**
 * Which frames of a clip are used. `native`: the first frames as they are, as the official release does
 * whatever the frame rate; a number: the clip resampled to that frame rate, by taking for each moment the
 * frame on show.
 */
export type FrameRate = 'native' | number;

export interface FrameSelection {
  /** Frames wanted at most. */
  readonly maxFrames: number;
  readonly fps: FrameRate;
  /** Pixel frames per latent frame in time; 4 for CogVideoX. */
  readonly temporalRatio: number;
}

/** The largest 4k + 1 (ratio·k + 1) that is at most `count`; 0 for 0. The causal VAE takes no other length. */
export function wholeLatentFrames(count: number, temporalRatio = 4): number {
  return count < 1 ? 0 : Math.floor((count - 1) / temporalRatio) * temporalRatio + 1;
}

/** The part of a file that {@link selectFrames} can need; decoding more is waste. */
export function neededRange(selection: FrameSelection): { maxFrames: number } | { maxDurationS: number } {
  return selection.fps === 'native'
    ? { maxFrames: selection.maxFrames }
    : { maxDurationS: selection.maxFrames / selection.fps };
}

/** Indices into the decoded frames (repeats are possible when the target rate is above the clip's). */
export function selectFrames(timesS: readonly number[], fps: number, selection: FrameSelection): number[] {
  const available =
    selection.fps === 'native'
      ? timesS.map((_, index) => index)
      : resampled(timesS, fps, selection.fps, selection.maxFrames);
  const count = wholeLatentFrames(Math.min(available.length, selection.maxFrames), selection.temporalRatio);
  return available.slice(0, count);
}

function resampled(timesS: readonly number[], fps: number, targetFps: number, maxFrames: number): number[] {
  if (!(targetFps > 0)) {
    throw new MediaError({
      where: 'frame rate',
      expected: "a positive number or 'native'",
      got: String(targetFps),
    });
  }
  // One frame is a photo: it has no motion to sample.
  if (timesS.length < 2) return timesS.map(() => 0);
  const endS = timesS[timesS.length - 1] + 1 / fps;
  const indices: number[] = [];
  let index = 0;
  for (let k = 0; k < maxFrames; k++) {
    // Half a microsecond of slack: times are whole microseconds, moments are not.
    const momentS = timesS[0] + k / targetFps + 5e-7;
    if (momentS >= endS) break;
    while (index + 1 < timesS.length && timesS[index + 1] <= momentS) index++;
    indices.push(index);
  }
  return indices;
}
