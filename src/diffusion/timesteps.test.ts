import { describe, expect, it } from 'vitest';
import { randomStream } from '../tensor/random.ts';
import { drawTimestep } from './timesteps.ts';

describe('drawn timesteps', () => {
  it.each([
    [0, 0.5],
    [0.5, 1 - 0.5 ** 1.5],
    [1, 0.75],
    [1.5, 1 - 0.5 ** 2.5],
  ])('with bias %d come from the noisier half with a share of %d', (bias, share) => {
    const stream = randomStream(1, 'timesteps', bias);
    const drawn = Array.from({ length: 20_000 }, () => drawTimestep(stream, 1000, bias));
    expect(drawn.filter((t) => t >= 500).length / drawn.length).toBeCloseTo(share, 1);
    expect(drawn.every((t) => Number.isInteger(t) && t >= 0 && t < 1000)).toBe(true);
  });
});
