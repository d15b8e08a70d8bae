import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createRuntime } from '../../../runtime/index.ts';
import { SIDE } from '../configs.ts';
import { readBaseParts } from './base-parts.ts';
import { type MaskedClip, openScrambler, type Scrambler } from './scrambler.ts';

const FRAMES = 5;
const runtime = createRuntime({ threads: 1 });
let scrambler: Scrambler;
beforeAll(async () => {
  const parts = await readBaseParts(fileURLToPath(new URL('../../../../weights/toybox', import.meta.url)));
  scrambler = await openScrambler(runtime, parts, FRAMES);
});
afterAll(() => runtime.close());

/** A bright square of 24 pixels that moves by 4 a frame over a plain ground. */
function movingSquare(): MaskedClip {
  const frames = new Uint8Array(FRAMES * SIDE * SIDE * 3).fill(90);
  const mask = new Uint8Array(FRAMES * SIDE * SIDE);
  for (let frame = 0; frame < FRAMES; frame++) {
    for (let y = 16; y < 40; y++) {
      for (let x = 8 + 4 * frame; x < 32 + 4 * frame; x++) {
        const at = (frame * SIDE + y) * SIDE + x;
        mask[at] = 255;
        frames.set([220, 180, 60], 3 * at);
      }
    }
  }
  return { frames, mask };
}

/** Mean absolute difference where `isInside` says so of the pixel's row. */
function difference(a: Uint8Array, b: Uint8Array, isInside: (row: number) => boolean): number {
  let [sum, count] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    if (!isInside(Math.floor(i / (3 * SIDE)) % SIDE)) continue;
    sum += Math.abs(a[i] - b[i]);
    count++;
  }
  return sum / count;
}

it('breaks the texture of the subject, not of what is far from it', async () => {
  const clip = movingSquare();
  const clips = Array.from({ length: 6 }, () => clip);
  const scrambled = await scrambler.scramble(clips, 0);
  expect(scrambled).toHaveLength(6);
  const near = scrambled.map((one) => difference(one, clip.frames, (row) => row >= 16 && row < 40));
  const far = scrambled.map((one) => difference(one, clip.frames, (row) => row >= 56));
  expect(Math.max(...near)).toBeGreaterThan(8);
  expect(Math.max(...far)).toBeLessThan(3);
  // The noise is of another strength for each clip.
  expect(Math.max(...near)).toBeGreaterThan(2 * Math.min(...near));
});

it('is a pure function of the clips and their number', async () => {
  const clip = movingSquare();
  const [first, second] = await scrambler.scramble([clip, clip], 7);
  expect((await scrambler.scramble([clip], 8))[0]).toEqual(second);
  expect(first).not.toEqual(second);
});

it('without a subject is the codec alone', async () => {
  const clip = { ...movingSquare(), mask: new Uint8Array(FRAMES * SIDE * SIDE) };
  const [one, other] = await scrambler.scramble([clip, clip], 0);
  expect(one).toEqual(other);
});
