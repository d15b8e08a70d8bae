import { createSampler, type NoiseSchedule } from '../../../diffusion/index.ts';
import * as g from '../../../graph/index.ts';
import { cogVideoXTransformer, type TransformerConfig } from '../../../models/cogvideox/transformer/index.ts';
import { t5Encoder } from '../../../models/t5/index.ts';
import { Parameters } from '../../../nn/parameters.ts';
import type { Runtime } from '../../../runtime/index.ts';
import { asFloats, type FloatTensor, floats, hostTensor } from '../../../tensor/host-tensor.ts';
import { randomStream } from '../../../tensor/random.ts';
import { sizeOf } from '../../../tensor/shape.ts';
import { textConfig } from '../configs.ts';
import { inputsOf } from '../program-inputs.ts';
import type { TensorTable } from '../task.ts';
import { TEXT_TOKENS, t5TokenizerFiles, tokenizerOf } from '../tokenizers.ts';

export interface TransformerSampler {
  /** Prompts → scaled latents [n, f, C, h, w], each from the noise of (seed, its place). */
  sample(
    parameters: TensorTable,
    prompts: readonly string[],
    options: { readonly seed: number; readonly steps: number; readonly guidance: number },
  ): Promise<FloatTensor>;
}

/** DDIM over `batch` prompts at a time: conditional and empty prompt in one run. */
export async function openTransformerSampler(
  runtime: Runtime,
  config: TransformerConfig,
  schedule: NoiseSchedule,
  textWeights: TensorTable,
  { batch, latentFrames }: { readonly batch: number; readonly latentFrames: number },
): Promise<TransformerSampler> {
  const side = config.sampleHeight;
  const half = [batch, latentFrames, config.latentChannels, side, side];
  const latents = g.input('latents', half);
  const ids = g.input('ids', [2 * batch, TEXT_TOKENS], 'i64');
  const velocity = cogVideoXTransformer(config, new Parameters(() => true).root, {
    latents: g.concat([latents, latents], 0),
    text: t5Encoder(textConfig(), new Parameters().root, { ids }),
    timestep: g.input('timestep', [2 * batch]),
  });
  const [empty, told] = g.chunk(velocity, 0, 2);
  const guided = g.add(empty, g.mul(g.sub(told, empty), g.input('guidance', [])));
  const executable = await runtime.compile(g.program('sample-transformer', { guided }), {
    weights: new Map(textWeights),
  });
  const tokenizer = tokenizerOf(t5TokenizerFiles(), 'T5');
  const encoded = (prompt: string) => tokenizer.encode(prompt, TEXT_TOKENS).ids.data as BigInt64Array;
  const size = sizeOf(half.slice(1));

  return {
    sample: async (parameters, prompts, { seed, steps, guidance }) => {
      const out = new Float32Array(prompts.length * size);
      const own = inputsOf(executable.program, parameters);
      const sampler = createSampler('ddim', schedule, steps);
      for (let from = 0; from < prompts.length; from += batch) {
        const tokens = new BigInt64Array(2 * batch * TEXT_TOKENS);
        const noise = new Float32Array(batch * size);
        for (let b = 0; b < batch; b++) {
          tokens.set(encoded(''), b * TEXT_TOKENS);
          tokens.set(encoded(prompts[from + b] ?? ''), (batch + b) * TEXT_TOKENS);
          noise.set(randomStream(seed, 'sample', from + b).normals(size), b * size);
        }
        let state = sampler.initialState(floats(half, noise));
        for (const timestep of sampler.timesteps) {
          const result = await executable.run({
            ...own,
            latents: state.sample,
            ids: hostTensor('i64', [2 * batch, TEXT_TOKENS], tokens),
            timestep: floats([2 * batch], new Float32Array(2 * batch).fill(timestep)),
            guidance: floats([], [guidance]),
          });
          state = sampler.step(state, asFloats(result.guided), () => floats(half, noise)).state;
        }
        const used = Math.min(batch, prompts.length - from) * size;
        out.set(state.sample.data.subarray(0, used), from * size);
      }
      return floats([prompts.length, ...half.slice(1)], out);
    },
  };
}
