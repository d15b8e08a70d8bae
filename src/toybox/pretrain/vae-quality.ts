import { SIDE } from './configs.ts';
import { changingPixels, subjectSurroundings } from './moving-pixels.ts';

const AREA = SIDE * SIDE;

export interface VaeScore extends Readonly<Record<string, number>> {
  /** dB over all pixels. */
  readonly psnr: number;
  /** dB over the moving subject and what it uncovers. */
  readonly movingPsnr: number;
  /** dB over those of them that change by more than 12 levels from frame to frame: the strictest. */
  readonly changingPsnr: number;
  /** Mean change of the error from frame to frame in the background, in levels of 255. */
  readonly flicker: number;
}

/** Sums errors over clips; {@link score} takes the logarithms at the end. */
export class VaeQuality {
  readonly #sums = { all: [0, 0], moving: [0, 0], changing: [0, 0], flicker: [0, 0] };

  /** A clip of bytes and its reconstruction, both [F, 64, 64, 3], and the subject's alpha [F, 64, 64]. */
  add(frames: Uint8Array, reconstruction: Uint8Array, mask: Uint8Array): void {
    const moving = subjectSurroundings(mask);
    const changing = changingPixels(frames, moving);
    const { all, moving: subject, changing: strict, flicker } = this.#sums;
    for (let at = 0; at < mask.length; at++) {
      let squares = 0;
      for (let c = 0; c < 3; c++) squares += (frames[at * 3 + c] - reconstruction[at * 3 + c]) ** 2;
      count(all, squares / 3);
      if (moving[at] === 1) count(subject, squares / 3);
      if (changing[at] === 1) count(strict, squares / 3);
      if (at < AREA || moving[at] === 1) continue;
      for (let c = 0; c < 3; c++) {
        const [now, before] = [at * 3 + c, (at - AREA) * 3 + c];
        const change = reconstruction[now] - frames[now] - (reconstruction[before] - frames[before]);
        count(flicker, Math.abs(change));
      }
    }
  }

  score(): VaeScore {
    const { all, moving, changing, flicker } = this.#sums;
    return {
      psnr: decibels(all),
      movingPsnr: decibels(moving),
      changingPsnr: decibels(changing),
      flicker: flicker[1] === 0 ? 0 : flicker[0] / flicker[1],
    };
  }
}

function count(sum: number[], value: number): void {
  sum[0] += value;
  sum[1]++;
}

function decibels([squares, pixels]: readonly number[]): number {
  return 10 * Math.log10((255 * 255 * Math.max(pixels, 1)) / Math.max(squares, 1e-9));
}

/** Video [F, 3, 64, 64] in about [−1, 1] → bytes [F, 64, 64, 3]. */
export function bytesOfVideo(video: Float32Array): Uint8Array {
  const out = new Uint8Array(video.length);
  const frames = video.length / (AREA * 3);
  for (let frame = 0; frame < frames; frame++) {
    for (let c = 0; c < 3; c++) {
      for (let i = 0; i < AREA; i++) {
        const value = (video[(frame * 3 + c) * AREA + i] + 1) * 127.5;
        out[(frame * AREA + i) * 3 + c] = Math.min(255, Math.max(0, Math.round(value)));
      }
    }
  }
  return out;
}
