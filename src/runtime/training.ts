import { DualrealError } from '../tensor/errors.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import type { AdamWSettings } from './optimizer/adamw.ts';
import type { TrainableTensor } from './optimizer/parameter-arena.ts';
import type { WeightTable } from './weight-table.ts';

/** Prefix of the program outputs that are gradients of trainable inputs of the same name. */
export const GRADIENT_PREFIX = 'gradient:';

export type Tensors = Record<string, HostTensor>;

export interface TrainerSettings {
  readonly tensors: readonly TrainableTensor[];
  readonly optimizer: AdamWSettings;
  /** Decay of a moving average of the parameters, updated at every step; absent: none is kept. */
  readonly averageDecay?: number;
}

export interface TrainStepRequest {
  /** One micro-batch each; more than one accumulates their mean gradient. */
  readonly microBatches: readonly Tensors[];
  readonly learningRate: number;
  readonly activeGroups?: readonly string[];
}

export interface TrainStepResult {
  /** The program's other outputs, per micro-batch. */
  readonly outputs: readonly Tensors[];
  readonly gradientNorm: number;
  readonly clippedBy: number;
}

export interface TrainerState {
  readonly parameters: Map<string, HostTensor>;
  readonly optimizer: Map<string, HostTensor>;
  readonly average: Map<string, HostTensor> | undefined;
}

/** What a trainer is loaded from. Regions of files are read straight into its memory. */
export interface TrainerSources {
  readonly parameters: WeightTable;
  readonly optimizer?: WeightTable | undefined;
  readonly average?: WeightTable | undefined;
}

/** NaN or infinity in the loss. Nothing was changed. */
export class NonFiniteLossError extends DualrealError {}
