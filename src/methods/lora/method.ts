import * as g from '../../graph/index.ts';
import type { TransformerConfig } from '../../models/cogvideox/transformer/index.ts';
import type { ParameterScope } from '../../nn/parameters.ts';
import type { Method, Stage, StageRecipe } from '../method.ts';
import {
  type BatchShape,
  byGroup,
  smallestBatch,
  type TraceOptions,
  traceModel,
  trainingProgram,
  velocityLoss,
} from '../objective.ts';
import { injectLora, type LoraAdapter, loraAdapterOf } from './inject.ts';
import { initialLora } from './lora.ts';
import { type LoraOptions, loraLayers, loraOptionsSchema } from './options.ts';

/** diffusers examples/cogvideo/README.md: 1500 steps for 50 clips at 1e-3. */
const RECIPE: StageRecipe = {
  steps: 1500,
  learningRate: 1e-3,
  warmupSteps: 200,
  schedule: 'cosine_with_restarts',
  betas: [0.9, 0.95],
  weightDecay: 1e-4,
  maxGradientNorm: 1,
};

const DIMENSIONS = ['identity', 'motion'] as const;

/**
 * Two LoRAs, of the subject and of the motion, trained apart and added at inference (the paper's "LoRA"
 * baseline). Single frames are tuned at the script's default rate, because 1e-3 breaks there.
 */
export function loraMethod(options: Partial<LoraOptions> = {}): Method {
  const complete = loraOptionsSchema.parse(options);
  const trace = (
    config: TransformerConfig,
    shape: BatchShape,
    names: readonly string[],
    trainable: readonly string[],
    traceOptions: TraceOptions = {},
  ) => {
    const layers = loraLayers(config, complete);
    const isTrainable = (path: string) => trainable.includes(loraAdapterOf(path) ?? '');
    return traceModel(
      config,
      shape,
      isTrainable,
      (root) => ({
        hooks: injectLora(
          root,
          names.map((name) => ({ name, layers })),
        ),
      }),
      traceOptions,
    );
  };
  const parameters = (config: TransformerConfig) =>
    byGroup(trace(config, smallestBatch(config), DIMENSIONS, []).parameters, DIMENSIONS, loraAdapterOf);
  return {
    name: 'lora',
    options: complete,
    stages: [stageOf('identity', 1e-4), stageOf('motion', 1e-3)],
    inference: {},
    parameters,
    initial: async (config, { seed }) => initialLora(parameters(config), seed),
    objective: ({ config, stage, shape, trace: traceOptions }) => {
      const { parameters: declared, output } = trace(config, shape, [stage], [stage], traceOptions);
      const losses = { loss: velocityLoss(output) };
      return trainingProgram(`lora-${stage}`, losses, declared, (path) => loraAdapterOf(path) === stage);
    },
    sampling: ({ config, shape, live = [], trace: traceOptions }) =>
      g.program('sample-lora', { output: trace(config, shape, DIMENSIONS, live, traceOptions).output }),
  };
}

/** The model with sets of updates whose matrices are weights, whatever their ranks and layers. */
export function loraSampling(adapters: readonly LoraAdapter[]): Method['sampling'] {
  return ({ config, shape, trace = {} }) => {
    const hooked = (root: ParameterScope) => ({ hooks: injectLora(root, adapters) });
    return g.program('sample-lora', { output: traceModel(config, shape, () => false, hooked, trace).output });
  };
}

function stageOf(dimension: 'identity' | 'motion', learningRate: number): Stage {
  return {
    name: dimension,
    groups: [dimension],
    phases: [{ name: dimension, data: dimension, learning: [dimension], batch: 1 }],
    order: 'drawn',
    recipe: { ...RECIPE, learningRate },
  };
}
