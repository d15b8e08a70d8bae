import * as g from '../../../graph/index.ts';
import { vaeDecoder } from '../../../models/cogvideox/vae/decoder.ts';
import { silentBranches, type VaeConfig, vaeEncoder } from '../../../models/cogvideox/vae/index.ts';
import { stackFrames, unstackFrames } from '../../../nn/frames.ts';
import { Parameters } from '../../../nn/parameters.ts';
import type { Runtime } from '../../../runtime/index.ts';
import { type FloatTensor, floats } from '../../../tensor/host-tensor.ts';
import { SIDE } from '../configs.ts';
import type { TensorTable } from '../task.ts';
import { videoTensor } from '../vae-batches.ts';
import { bytesOfVideo } from '../vae-quality.ts';

export interface Codec<In, Out> {
  run(input: In): Promise<Out>;
  release(): Promise<void>;
}

/** Whole clips as one batch of frames, `batch` clips at a time: pixels → means of latents, not scaled. */
export async function openLatentEncoder(
  runtime: Runtime,
  config: VaeConfig,
  weights: TensorTable,
  { batch, frames }: { readonly batch: number; readonly frames: number },
): Promise<Codec<Uint8Array, Float32Array>> {
  const clips = g.input('clips', [batch, frames, 3, SIDE, SIDE]);
  const moments = vaeEncoder(config, new Parameters().root.at('encoder'), unstackFrames(clips), {
    isSilent: silentBranches(weights),
  });
  const means = stackFrames(moments.map((frame) => g.slice(frame, 1, 0, config.latentChannels)));
  const executable = await runtime.compile(g.program(`encode-${batch}x${frames}`, { means }), {
    weights: new Map(weights),
  });
  const clipBytes = frames * SIDE * SIDE * 3;
  return {
    run: async (pixels) => {
      const count = pixels.length / clipBytes;
      const filled = new Uint8Array(batch * clipBytes);
      filled.set(pixels);
      const found = Array.from({ length: batch }, (_, i) =>
        filled.subarray(i * clipBytes, (i + 1) * clipBytes),
      );
      const result = await executable.run({ clips: videoTensor(found) });
      return (result.means.data as Float32Array).subarray(0, (result.means.data.length / batch) * count);
    },
    release: () => executable.release(),
  };
}

/** Latents [B, f, C, h, w] as the transformer has them, scaled → B clips of bytes [F, 64, 64, 3]. */
export async function openLatentDecoder(
  runtime: Runtime,
  config: VaeConfig,
  weights: TensorTable,
  { batch, latentFrames }: { readonly batch: number; readonly latentFrames: number },
): Promise<Codec<FloatTensor, Uint8Array[]>> {
  const side = SIDE / config.spatialCompression;
  const shape = [batch, latentFrames, config.latentChannels, side, side];
  const latents = g.mul(g.input('latents', shape), 1 / config.scalingFactor);
  const frames = vaeDecoder(config, new Parameters().root.at('decoder'), unstackFrames(latents));
  const program = g.program(`decode-${batch}x${latentFrames}`, { video: stackFrames(frames) });
  const executable = await runtime.compile(program, { weights: new Map(weights) });
  return {
    run: async (scaled) => {
      const count = scaled.shape[0];
      const filled = new Float32Array(scaled.data.length * (batch / count));
      filled.set(scaled.data);
      const { video } = await executable.run({ latents: floats(shape, filled) });
      const data = video.data as Float32Array;
      const size = data.length / batch;
      return Array.from({ length: count }, (_, i) => bytesOfVideo(data.slice(i * size, (i + 1) * size)));
    },
    release: () => executable.release(),
  };
}
