import * as g from '../../graph/index.ts';
import { type VaeConfig, vaeTrainingForward } from '../../models/cogvideox/vae/index.ts';
import { Parameters } from '../../nn/parameters.ts';
import type { Runtime } from '../../runtime/index.ts';
import { floats } from '../../tensor/host-tensor.ts';
import { randomStream } from '../../tensor/random.ts';
import { sizeOf } from '../../tensor/shape.ts';
import { createUniverse } from '../universe/universe.ts';
import { SIDE } from './configs.ts';
import { inputsOf } from './program-inputs.ts';
import type { TensorTable } from './task.ts';
import { videoTensor } from './vae-batches.ts';

const CLIPS = 48;
const FRAMES = 9;

/** 1 / standard deviation of sampled latents of pretraining clips: brings them to unit variance. */
export async function latentScale(
  runtime: Runtime,
  cacheFolder: string,
  config: VaeConfig,
  parameters: TensorTable,
): Promise<number> {
  const latentFrames = 1 + (FRAMES - 1) / config.temporalCompression;
  const latentSide = SIDE / config.spatialCompression;
  const shape = [1, latentFrames, config.latentChannels, latentSide, latentSide];
  const video = g.input('clip', [1, FRAMES, 3, SIDE, SIDE]);
  const { mean, logvar } = vaeTrainingForward(
    config,
    new Parameters(() => true).root,
    video,
    g.input('noise', shape),
  );
  const encoder = await runtime.compile(g.program('vae-posterior', { mean, logvar }));
  const universe = createUniverse({ seed: 3, split: 'pretraining', stage: 2, frames: FRAMES, cacheFolder });
  let [sum, squares, count] = [0, 0, 0];
  for (let i = 0; i < CLIPS; i++) {
    const noise = floats(shape, randomStream(3, 'latent scale', i).normals(sizeOf(shape)));
    const inputs = {
      ...inputsOf(encoder.program, parameters),
      clip: videoTensor([universe.render(i).frames]),
    };
    const posterior = await encoder.run(inputs);
    const [means, logvars] = [posterior.mean.data as Float32Array, posterior.logvar.data as Float32Array];
    for (let at = 0; at < means.length; at++) {
      const latent = means[at] + Math.exp(0.5 * logvars[at]) * noise.data[at];
      sum += latent;
      squares += latent * latent;
      count++;
    }
  }
  await encoder.release();
  return 1 / Math.sqrt(squares / count - (sum / count) ** 2);
}
