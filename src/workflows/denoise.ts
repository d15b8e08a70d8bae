import {
  combineGuidedBatch,
  type GuidanceSchedule,
  isFinished,
  type NoiseSource,
  type Sampler,
  type SamplerState,
} from '../diffusion/index.ts';
import type { Executable, Tensors } from '../runtime/index.ts';
import { asFloats, type FloatTensor, floats, zeros } from '../tensor/host-tensor.ts';

/** What the transformer is told besides the noisy latents. */
export interface Conditioning {
  /** Text embeddings [1, S, E]. */
  readonly positive: FloatTensor;
  /** Of the negative (usually empty) prompt [1, S, E]; absent: no classifier-free guidance. */
  readonly negative: FloatTensor | undefined;
  /** Image embedding [1, 1, E], given to both halves alike (release). */
  readonly image: FloatTensor | undefined;
  /** Ones at the prompt's tokens [1, S] that name the subject; the negative half has none. */
  readonly subjectTokens?: FloatTensor | undefined;
}

export interface DenoiseRequest {
  /** Outputs `output` [B, f, C, h, w] and, with a controller, `identityWeights` [B, n]. */
  readonly executable: Executable;
  readonly sampler: Sampler;
  readonly guidance: GuidanceSchedule;
  readonly noise: NoiseSource;
  readonly conditioning: Conditioning;
  readonly signal?: AbortSignal | undefined;
}

export interface DenoiseStep {
  readonly state: SamplerState;
  /** Estimate of the clean latents after this step, for previews. */
  readonly original: FloatTensor;
  readonly timestep: number;
  readonly guidance: number;
  /** Identity weight per group, of the conditional half. */
  readonly identityWeights: readonly number[] | undefined;
}

/** Runs the sampler from `state` to its end, one yield a step; each can be saved and continued from. */
export async function* denoise(request: DenoiseRequest, state: SamplerState): AsyncGenerator<DenoiseStep> {
  const { sampler, guidance } = request;
  for (let current = state; !isFinished(sampler, current); ) {
    const timestep = sampler.timesteps[current.stepIndex];
    const scale = guidance(timestep);
    const { prediction, identityWeights } = await predict(request, current.sample, timestep, scale);
    const next = sampler.step(current, prediction, request.noise);
    current = next.state;
    yield { state: current, original: next.original, timestep, guidance: scale, identityWeights };
  }
}

async function predict(
  { executable, conditioning, signal }: DenoiseRequest,
  sample: FloatTensor,
  timestep: number,
  scale: number,
): Promise<{ prediction: FloatTensor; identityWeights: readonly number[] | undefined }> {
  const { positive, negative, image, subjectTokens } = conditioning;
  const copies = negative ? 2 : 1;
  const inputs: Tensors = {
    latents: repeat(sample, copies),
    text: negative ? join(negative, positive) : positive,
    timestep: floats([copies], new Float32Array(copies).fill(timestep)),
    ...(image && { condition: repeat(image, copies) }),
    ...(subjectTokens && {
      subjectTokens: negative ? join(zeros('f32', subjectTokens.shape), subjectTokens) : subjectTokens,
    }),
  };
  const { output, identityWeights } = await executable.run(inputs, { signal });
  const groups = identityWeights?.shape[1] ?? 0;
  return {
    prediction: negative ? combineGuidedBatch(asFloats(output), scale) : asFloats(output),
    identityWeights: identityWeights && [...(identityWeights.data as Float32Array).slice(-groups)],
  };
}

function join(first: FloatTensor, second: FloatTensor): FloatTensor {
  const data = new Float32Array(first.data.length + second.data.length);
  data.set(first.data);
  data.set(second.data, first.data.length);
  return floats([first.shape[0] + second.shape[0], ...first.shape.slice(1)], data);
}

function repeat(tensor: FloatTensor, copies: number): FloatTensor {
  return copies === 1 ? tensor : join(tensor, tensor);
}
