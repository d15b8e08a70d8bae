import {
  createSampler,
  type GuidanceScheduleKind,
  guidanceSchedule,
  initialNoise,
  type NoiseSchedule,
  type Sampler,
  type SamplerKind,
  seededNoise,
} from '../diffusion/index.ts';
import * as g from '../graph/index.ts';
import { type BatchShape, type Method, offsetNoise } from '../methods/index.ts';
import { cogVideoXTransformer, type TransformerConfig } from '../models/cogvideox/transformer/index.ts';
import { Parameters } from '../nn/parameters.ts';
import type { Executable, Runtime, Trainer, WeightTable } from '../runtime/index.ts';
import { randomStream } from '../tensor/random.ts';
import type { Shape } from '../tensor/shape.ts';
import { type Conditioning, type DenoiseStep, denoise } from './denoise.ts';

export interface SamplingSetup {
  readonly config: TransformerConfig;
  readonly schedule: NoiseSchedule;
  /** Base weights, and what a method trained (unless a trainer holds it). */
  readonly weights: WeightTable;
  /** Absent: the base model alone. */
  readonly method?: Pick<Method, 'sampling'> | undefined;
  /** Takes these groups from a training session's live state. */
  readonly live?: { readonly trainer: Trainer; readonly groups: readonly string[] } | undefined;
  readonly latentFrames: number;
  readonly latentHeight: number;
  readonly latentWidth: number;
  readonly guided: boolean;
  readonly conditioned: boolean;
  readonly residence?: 'fold' | 'mapped';
}

export interface SampleRequest {
  readonly seed: number;
  readonly steps: number;
  readonly sampler: SamplerKind;
  readonly guidance: number;
  readonly guidanceKind: GuidanceScheduleKind;
  readonly conditioning: Conditioning;
  /** Strength of a shift common to all positions of a frame and channel, added to the first noise. */
  readonly noiseOffset?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The compiled model for one size of video; samples any number of them. */
export class SamplingSession {
  /** Shape of a video's latents [1, f, C, h, w]. */
  readonly latentShape: Shape;
  private readonly setup: SamplingSetup;
  private readonly executable: Executable;

  private constructor(setup: SamplingSetup, executable: Executable) {
    const { latentFrames, latentHeight, latentWidth, config } = setup;
    this.latentShape = [1, latentFrames, config.latentChannels, latentHeight, latentWidth];
    this.setup = setup;
    this.executable = executable;
  }

  static async open(runtime: Runtime, setup: SamplingSetup): Promise<SamplingSession> {
    const executable = await runtime.compile(samplingProgram(setup), {
      weights: setup.weights,
      ...(setup.live && { trainer: setup.live.trainer }),
      ...(setup.residence && { residence: setup.residence }),
    });
    return new SamplingSession(setup, executable);
  }

  sampler({ sampler, steps }: Pick<SampleRequest, 'sampler' | 'steps'>): Sampler {
    return createSampler(sampler, this.setup.schedule, steps);
  }

  /** Denoises from the seed's noise, or from a saved state of the same request. */
  sample(request: SampleRequest, from?: DenoiseStep['state']): AsyncGenerator<DenoiseStep> {
    const sampler = this.sampler(request);
    return denoise(
      {
        executable: this.executable,
        sampler,
        guidance: guidanceSchedule(request.guidanceKind, request.guidance, request.steps),
        noise: seededNoise(request.seed),
        conditioning: request.conditioning,
        signal: request.signal,
      },
      from ?? sampler.initialState(this.firstNoise(request)),
    );
  }

  private firstNoise({ seed, noiseOffset = 0 }: SampleRequest) {
    const noise = initialNoise(seed, this.latentShape);
    return noiseOffset > 0 ? offsetNoise(noise, noiseOffset, randomStream(seed, 'noise-offset')) : noise;
  }

  async close(): Promise<void> {
    await this.executable.release();
  }
}

function samplingProgram({ config, method, live, guided, ...setup }: SamplingSetup): g.Program {
  const { latentFrames, latentHeight, latentWidth, conditioned } = setup;
  const batch = guided ? 2 : 1;
  const shape: BatchShape = {
    batch,
    latentFrames,
    latentHeight,
    latentWidth,
    textTokens: config.textTokens,
    conditioned,
  };
  if (method) return method.sampling({ config, shape, guided, live: live?.groups ?? [] });
  const output = cogVideoXTransformer(config, new Parameters().root, {
    latents: g.input('latents', [batch, latentFrames, config.latentChannels, latentHeight, latentWidth]),
    text: g.input('text', [batch, config.textTokens, config.textDim]),
    timestep: g.input('timestep', [batch]),
  });
  return g.program('sample-base', { output });
}
