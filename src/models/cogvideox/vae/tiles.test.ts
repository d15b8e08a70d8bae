import { describe, expect, it } from 'vitest';
import { type FloatTensor, floats } from '../../../tensor/host-tensor.ts';
import { randomStream } from '../../../tensor/random.ts';
import { cutTile, decodingPlan, encodingPlan, joinTiles, type TileSettings } from './tiles.ts';

const SETTINGS: TileSettings = {
  sampleHeight: 48,
  sampleWidth: 40,
  latentHeight: 6,
  latentWidth: 5,
  overlapHeight: 1 / 6,
  overlapWidth: 1 / 5,
};

/** Every latent pixel as an 8 × 8 square. */
function enlarge({ shape, data }: FloatTensor): FloatTensor {
  const [batch, frames, channels, height, width] = shape;
  const values = new Float32Array(data.length * 64);
  for (let i = 0; i < values.length; i++) {
    const [x, y] = [i % (8 * width), Math.floor(i / (8 * width)) % (8 * height)];
    const plane = Math.floor(i / (64 * width * height));
    values[i] = data[(plane * height + (y >> 3)) * width + (x >> 3)];
  }
  return floats([batch, frames, channels, 8 * height, 8 * width], values);
}

describe('tiles', () => {
  it('are not used where one is enough', () => {
    expect(encodingPlan(48, 40, SETTINGS)).toBeUndefined();
    expect(decodingPlan(6, 5, SETTINGS)).toBeUndefined();
    expect(encodingPlan(48, 41, SETTINGS)?.tiles.length).toBe(4);
    expect(decodingPlan(7, 5, SETTINGS)?.tiles.length).toBe(4);
  });

  it.each([
    [10, 9],
    [6, 6],
    [13, 11],
    [7, 20],
  ])('of %i × %i latents, treated alike, join to the whole', (height, width) => {
    const random = randomStream(height, 'latents', width);
    const latents = floats([2, 3, 1, height, width], random.normals(6 * height * width));
    const plan = decodingPlan(height, width, SETTINGS)!;
    const tiles = plan.tiles.map((tile) => enlarge(cutTile(latents, tile)));
    const whole = enlarge(latents);
    const joined = joinTiles(plan, tiles);
    expect(joined.shape).toEqual(whole.shape);
    const error = joined.data.reduce((most, value, i) => Math.max(most, Math.abs(value - whole.data[i])), 0);
    // Mixing a value with itself rounds.
    expect(error).toBeLessThan(1e-6);
  });

  it('fade from the neighbour above and then from the left, which are blended themselves', () => {
    const plan = {
      ...decodingPlan(10, 9, SETTINGS)!,
      blendHeight: 2,
      blendWidth: 2,
      keptHeight: 2,
      keptWidth: 2,
    };
    const four = plan.tiles.filter(({ row, column }) => row < 2 && column < 2);
    const tiles = [0, 8, 16, 32].map((value) => floats([1, 1, 1, 4, 4], new Float32Array(16).fill(value)));
    const joined = joinTiles({ ...plan, tiles: four }, tiles);
    // The lower right one sees 0, 4 (half of 8) above it and 0, 8 (half of 16) on its left.
    expect([...joined.data]).toEqual([0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 2, 8, 8, 8, 13]);
  });
});
