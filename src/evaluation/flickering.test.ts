import { expect, it } from 'vitest';
import { greyClip } from '../../test/metric-clips.ts';
import { temporalFlickering } from './flickering.ts';

it('is 1 for a clip that stands still', () => {
  expect(temporalFlickering(greyClip([90, 90, 90])).value).toBe(1);
});

it('falls by the mean difference of neighbours', () => {
  // Differences 10, 0, 50: mean 20 of 255.
  const { value, settings, encoder } = temporalFlickering(greyClip([100, 110, 110, 60]));
  expect(value).toBeCloseTo(1 - 20 / 255, 12);
  expect(settings).toEqual({ width: 6, height: 4 });
  expect(encoder.name).toBe('pixels');
});

it('is 0 where black and white alternate', () => {
  expect(temporalFlickering(greyClip([0, 255, 0])).value).toBe(0);
});

it('weighs single pixels by their share', () => {
  const clip = greyClip([10, 10], 2, 2);
  clip.data[12] = 22; // One of twelve bytes of the second frame differs by 12.
  expect(temporalFlickering(clip).value).toBeCloseTo(1 - 1 / 255, 12);
});

it('needs two frames', () => {
  expect(() => temporalFlickering(greyClip([1]))).toThrow('F ≥ 2');
});
