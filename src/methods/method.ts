import type { LearningRateScheduleKind } from '../diffusion/index.ts';
import type { Program } from '../graph/index.ts';
import type { TransformerConfig } from '../models/cogvideox/transformer/index.ts';
import type { FloatTensor, HostTensor } from '../tensor/host-tensor.ts';
import type { BatchShape, MethodParameter, TraceOptions } from './objective.ts';

export type { BatchShape, MethodParameter } from './objective.ts';

/** A way to teach a transformer a subject and a motion: what is trained in which order, and its use. */
export interface Method {
  readonly name: 'dualreal' | 'lora' | 'full' | 'dreamvideo' | 'motionbooth';
  /** What {@link openMethod} takes to make the same method again. */
  readonly options: object;
  readonly stages: readonly Stage[];
  /** Where the subject must be named by one word that the run is told; absent: nowhere. */
  readonly subjectWord?: 'captions' | 'captions and prompts';
  /** What sampling does differently from the defaults. */
  readonly inference: { readonly guidance?: number; readonly noiseOffset?: number };
  /** Every tensor that some stage trains on this transformer, group by group. */
  parameters(config: TransformerConfig): ReadonlyMap<string, MethodParameter>;
  /** Their values before the first stage. */
  initial(config: TransformerConfig, sources: InitialSources): Promise<Map<string, FloatTensor>>;
  /** Forward and backward of one phase: outputs `loss`, extras and `gradient:<parameter>`. */
  objective(request: ObjectiveRequest): Program;
  /** The model with what was trained: output `output` [B, f, C, h, w] and extras. */
  sampling(request: SamplingRequest): Program;
}

/** One training run; the next starts from its result, with a fresh optimizer. */
export interface Stage {
  readonly name: string;
  /** Trainable inputs; what else the method has trained so far is a weight. */
  readonly groups: readonly string[];
  readonly phases: readonly Phase[];
  /** How a step's phase is chosen: by the run's motion ratio, or in turn. */
  readonly order: 'drawn' | 'in-turn';
  readonly recipe: StageRecipe;
}

/** One kind of step. What its program asks for is what must be fed; this says how it is prepared. */
export interface Phase {
  readonly name: string;
  /** Photos of the subject, clips of the motion, or captioned clips of anything. */
  readonly data: 'identity' | 'motion' | 'generic';
  /** Groups that this phase updates. */
  readonly learning: readonly string[];
  readonly batch: number;
  /** Image embedding of a frame of each clip: which frame, how its pixels are scaled, how often dropped. */
  readonly condition?: {
    readonly frame: 'once' | 'per-step';
    readonly pixels: 'symmetric' | 'encoder';
    readonly dropout: number;
  };
  /** Subject masks are used where there are some. */
  readonly masks?: boolean;
  /** Probability that a sample's caption becomes the empty one. */
  readonly captionDropout?: number;
  /** Strength of a shift common to all positions of a frame and channel, added to the noise. */
  readonly noiseOffset?: number;
}

/** Published settings of a stage, at its published length. AdamW's ε is 1e-8 everywhere. */
export interface StageRecipe {
  readonly steps: number;
  readonly learningRate: number;
  /** What single groups of the stage multiply the rate with; default 1. */
  readonly groupRates?: Readonly<Record<string, number>>;
  readonly warmupSteps: number;
  readonly schedule: LearningRateScheduleKind;
  readonly betas: readonly [number, number];
  readonly weightDecay: number;
  readonly maxGradientNorm?: number;
}

/** Where initial values come from. */
export interface InitialSources {
  readonly seed: number;
  /** A tensor of the base transformer. */
  readonly base: (name: string) => Promise<HostTensor>;
  /** Text embedding [E] of the word for the subject's class. */
  readonly classWord?: () => Promise<FloatTensor>;
}

export interface ObjectiveRequest {
  readonly config: TransformerConfig;
  /** Of {@link Method.stages} and {@link Stage.phases}, by name. */
  readonly stage: string;
  readonly phase: string;
  readonly shape: BatchShape;
  readonly trace?: TraceOptions;
}

export interface SamplingRequest {
  readonly config: TransformerConfig;
  readonly shape: BatchShape;
  /** The batch is [unconditional, conditional]. */
  readonly guided: boolean;
  /** Groups that a trainer holds at this moment: trainable inputs, not weights. */
  readonly live?: readonly string[];
  readonly trace?: TraceOptions;
}
