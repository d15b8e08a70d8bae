import * as g from '../../graph/index.ts';
import type { TransformerConfig } from '../../models/cogvideox/transformer/index.ts';
import { requireWeights } from '../../runtime/index.ts';
import { asFloats, type FloatTensor } from '../../tensor/host-tensor.ts';
import type { InitialSources, Method, Stage, StageRecipe } from '../method.ts';
import {
  byGroup,
  type MethodParameter,
  smallestBatch,
  traceModel,
  trainingProgram,
  velocityLoss,
} from '../objective.ts';

/** The one group of a method that trains the base transformer itself. */
export const TRANSFORMER_GROUP = 'transformer';

/** CogVideo sat/configs/sft.yaml. */
const RECIPE: StageRecipe = {
  steps: 1000,
  learningRate: 1e-5,
  warmupSteps: 10,
  schedule: 'constant_with_warmup',
  betas: [0.9, 0.95],
  weightDecay: 1e-4,
  maxGradientNorm: 0.1,
};

/**
 * All weights of the transformer, tuned on the subject and then on the motion, with nothing to preserve
 * either (the paper's "CogVideoX" baseline, 4.1). What stage 2 forgets shows in the copy after stage 1.
 */
export function fullMethod(): Method {
  return {
    name: 'full',
    options: {},
    stages: [stageOf('identity', 4), stageOf('motion', 1)],
    inference: {},
    parameters: baseParameters,
    initial: copyOfBase,
    objective: ({ config, stage, shape, trace }) => {
      const { parameters, output } = traceModel(
        config,
        shape,
        () => true,
        () => ({}),
        trace,
      );
      return trainingProgram(`full-${stage}`, { loss: velocityLoss(output) }, parameters, () => true);
    },
    sampling: ({ config, shape, live = [], trace }) => {
      const isLive = live.includes(TRANSFORMER_GROUP);
      const { output } = traceModel(
        config,
        shape,
        () => isLive,
        () => ({}),
        trace,
      );
      return g.program('sample-full', { output });
    },
  };
}

/** Every tensor of a transformer, as one group. */
export function baseParameters(config: TransformerConfig): ReadonlyMap<string, MethodParameter> {
  const { parameters } = traceModel(
    config,
    smallestBatch(config),
    () => true,
    () => ({}),
  );
  return byGroup(parameters, [TRANSFORMER_GROUP], () => TRANSFORMER_GROUP);
}

/** The base's own tensors in f32; throws where one is missing or has another shape. */
export async function copyOfBase(
  config: TransformerConfig,
  { base }: InitialSources,
): Promise<Map<string, FloatTensor>> {
  const declared = baseParameters(config);
  const values = new Map<string, FloatTensor>();
  for (const name of declared.keys()) values.set(name, asFloats(await base(name)));
  requireWeights('base transformer', declared, values);
  return values;
}

function stageOf(dimension: 'identity' | 'motion', batch: number): Stage {
  return {
    name: dimension,
    groups: [TRANSFORMER_GROUP],
    phases: [{ name: dimension, data: dimension, learning: [TRANSFORMER_GROUP], batch }],
    order: 'drawn',
    recipe: RECIPE,
  };
}
