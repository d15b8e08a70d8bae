import { SIDE } from './configs.ts';

const AREA = SIDE * SIDE;
const HALF = 128;
/** A pixel changes where a channel differs by more than this from the frame before or after, in levels. */
const CHANGE = 12;

/**
 * Where the subject is in this frame, the one before or the one after, so that what it uncovers counts too:
 * mask [F, area] → ones and zeros [F, area].
 */
export function subjectSurroundings(mask: Uint8Array, area = AREA): Uint8Array {
  const out = new Uint8Array(mask.length);
  for (let at = 0; at < mask.length; at++) {
    const [before, after] = [mask[at - area] ?? 0, mask[at + area] ?? 0];
    if (Math.max(mask[at], before, after) >= HALF) out[at] = 1;
  }
  return out;
}

/** The subject's surroundings where they visibly change: frames [F, 64, 64, 3] → [F, 64, 64]. */
export function changingPixels(frames: Uint8Array, surroundings: Uint8Array): Uint8Array {
  const out = new Uint8Array(surroundings.length);
  const changes = (at: number, other: number) => {
    if (other < 0 || other >= surroundings.length) return false;
    for (let c = 0; c < 3; c++) {
      if (Math.abs(frames[at * 3 + c] - frames[other * 3 + c]) > CHANGE) return true;
    }
    return false;
  };
  for (let at = 0; at < out.length; at++) {
    if (surroundings[at] === 1 && (changes(at, at - AREA) || changes(at, at + AREA))) out[at] = 1;
  }
  return out;
}
