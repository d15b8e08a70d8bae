import type { Program } from '../../graph/index.ts';
import type { Runtime, Tensors, WeightTable } from '../../runtime/index.ts';
import type { HostTensor } from '../../tensor/host-tensor.ts';
import type { Shape } from '../../tensor/shape.ts';
import type { PretrainedModel, Recipe } from './recipe.ts';

export type TensorTable = ReadonlyMap<string, HostTensor>;

/** Inputs of one training step; a pure function of the step. Rendered in a worker thread ahead of time. */
export type Batcher = (step: number) => Tensors;

/** What a batcher is made from; plain data, since it crosses to the worker thread. */
export interface BatchRequest {
  readonly model: PretrainedModel;
  readonly variant: string;
  readonly seed: number;
  readonly cacheFolder: string;
  /** Folder of the base, for models that learn over another one's weights. */
  readonly weightsFolder: string;
  /** Other than the recipe's, for tests and quick comparisons. */
  readonly batch?: number | undefined;
}

/** Outputs of this prefix are fed to the input of the rest of their name at the next step. */
export const CARRIED_PREFIX = 'next:';

/** Everything that is particular about pretraining one model. */
export interface PretrainingTask {
  readonly recipe: Recipe;
  /**
   * One training step: inputs are a batch, the trainable parameters and what is carried; outputs are
   * `loss`, other scalars (reported), `next:*` (carried) and the gradients.
   */
  readonly program: Program;
  readonly trainable: ReadonlyMap<string, { readonly shape: Shape }>;
  readonly frozen: WeightTable;
  /** Parameters of the model itself that are set, not learnt: saved, judged and exported with the others. */
  readonly fixed: TensorTable;
  /** First values of what goes from step to step besides the parameters. */
  carried(seed: number): TensorTable;
  initialize(seed: number): TensorTable;
  /** Compiles what is needed to judge parameters on samples that never enter training. */
  openReview(runtime: Runtime): Promise<Review>;
}

/** Numbers and pictures by which people follow a run. */
export interface ReviewResult {
  readonly numbers: Readonly<Record<string, number>>;
  readonly sheets: readonly { readonly name: string; readonly png: Uint8Array }[];
}

export type Review = (parameters: TensorTable) => Promise<ReviewResult>;
