import { ShapeError } from '../../tensor/errors.ts';
import { type FloatTensor, floats } from '../../tensor/host-tensor.ts';
import { randomStream } from '../../tensor/random.ts';
import { formatShape, type Shape, sameShape, sizeOf } from '../../tensor/shape.ts';
import { type NoiseSource, type Sampler, SamplerStateError } from './sampler.ts';

/** The noise that sampling starts from: a pure function of the seed. */
export function initialNoise(seed: number, shape: Shape): FloatTensor {
  return floats(shape, randomStream(seed, 'sampler', 'initial').normals(sizeOf(shape)));
}

/** The default noise of each step: a pure function of seed and step, so that any step can be replayed. */
export function seededNoise(seed: number): NoiseSource {
  return (stepIndex, shape) => floats(shape, randomStream(seed, 'sampler', stepIndex).normals(sizeOf(shape)));
}

/**
 * Noise recorded in the order in which upstream draws it, discarded draws included. Throws
 * {@link SamplerStateError} where the number of draws is not the one that this sampler makes.
 */
export function recordedNoise(sampler: Sampler, draws: readonly FloatTensor[]): NoiseSource {
  const used: (FloatTensor | undefined)[] = [];
  let drawn = 0;
  for (let index = 0; index < sampler.timesteps.length; index++) {
    const count = sampler.noiseDraws(index);
    drawn += count;
    used.push(count > 0 ? draws[drawn - 1] : undefined);
  }
  if (drawn !== draws.length) {
    throw new SamplerStateError({
      where: 'recorded noise',
      expected: `${drawn} draws for ${sampler.timesteps.length} ${sampler.kind} steps`,
      got: String(draws.length),
    });
  }
  return (stepIndex, shape) => {
    const noise = used[stepIndex];
    if (noise && sameShape(noise.shape, shape)) return noise;
    throw new ShapeError({
      where: `recorded noise of step ${stepIndex}`,
      expected: formatShape(shape),
      got: noise ? formatShape(noise.shape) : 'none',
    });
  };
}
