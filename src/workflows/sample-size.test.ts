import { expect, it } from 'vitest';
import { requireSampleSize, SampleSizeError } from './sample-size.ts';

const rule = { pixelsPerToken: 16, temporalRatio: 4 };
const size = { width: 64, height: 32, frames: 9 };

it.each([{}, { frames: 1 }, { width: 16, height: 16 }, { frames: 49 }])('takes %j', (change) => {
  expect(() => requireSampleSize({ ...size, ...change }, rule)).not.toThrow();
});

it.each([
  [{ width: 72 }, /--width: expected a multiple of 16 pixels for this base, got 72\n {2}hint: use 64 or 80/],
  [{ height: 8 }, /--height: .* got 8\n {2}hint: use 16/],
  [{ frames: 8 }, /--frames: expected 4k \+ 1 frames for this base, got 8\n {2}hint: use 5 or 9/],
  [{ frames: 3 }, /use 1 or 5/],
])('refuses %j and says what fits', (change, message) => {
  expect(() => requireSampleSize({ ...size, ...change }, rule)).toThrow(SampleSizeError);
  expect(() => requireSampleSize({ ...size, ...change }, rule)).toThrow(message);
});
