import { z } from 'zod';
import * as g from '../../graph/index.ts';
import type { TransformerConfig } from '../../models/cogvideox/transformer/index.ts';
import type { Method, Phase, Stage, StageRecipe } from '../method.ts';
import { byGroup, smallestBatch } from '../objective.ts';
import { initialParameters } from './initialize.ts';
import { type Dimension, type ParameterGroup, parameterGroup } from './names.ts';
import { dualRealObjective, traceDualReal } from './objective.ts';
import { dualRealOptionsSchema } from './options.ts';

/**
 * How the two dimensions are trained. 'masked': jointly, each step's gradient masked to its own dimension,
 * with the other one's adapters at work (the method). 'unmasked': jointly, every step trains both. 'isolated':
 * one dimension after the other, each without the other one's adapters, put together at inference with fixed
 * weights. A controller that sees one dimension at a time would only learn to give it everything.
 */
const trainingSchema = z.enum(['masked', 'unmasked', 'isolated']);
export type DualRealTraining = z.infer<typeof trainingSchema>;

export const dualRealMethodSchema = z
  .strictObject({
    options: dualRealOptionsSchema,
    training: trainingSchema.default('masked'),
  })
  .refine(({ options, training }) => training !== 'isolated' || options.groups === 0, {
    path: ['options', 'groups'],
    message: 'isolated training has no controller: groups must be 0',
  });

type DualRealMethodOptions = z.input<typeof dualRealMethodSchema>;

/** DR train/train_dog_guitar.sh. */
const RECIPE: StageRecipe = {
  steps: 1000,
  learningRate: 1e-3,
  warmupSteps: 200,
  schedule: 'cosine_with_restarts',
  betas: [0.9, 0.95],
  weightDecay: 1e-4,
  maxGradientNorm: 1,
};
const BATCH: Readonly<Record<Dimension, number>> = { identity: 1, motion: 3 };
const DIMENSIONS: readonly Dimension[] = ['identity', 'motion'];
const ADAPTERS_OF: Readonly<Record<Dimension, readonly ParameterGroup[]>> = {
  identity: ['identity'],
  motion: ['motion', 'condition'],
};

/** DualReal as the training workflow sees it. `form` is that of the adapters' file, for sampling. */
export function dualRealMethod(
  { options, training = 'masked' }: DualRealMethodOptions,
  form: 'separate' | 'fused' = 'separate',
): Method {
  const controller: readonly ParameterGroup[] = options.groups > 0 ? ['controller'] : [];
  const groups = [...DIMENSIONS.flatMap((dimension) => ADAPTERS_OF[dimension]), ...controller];
  const learning = (dimension: Dimension): readonly ParameterGroup[] =>
    training === 'unmasked' ? groups : [...ADAPTERS_OF[dimension], ...controller];
  const phaseOf = (dimension: Dimension): Phase => ({
    name: dimension,
    data: dimension,
    learning: learning(dimension),
    batch: BATCH[dimension],
    ...(dimension === 'motion' && {
      condition: {
        frame: options.conditionFrame,
        pixels: options.conditionPixels,
        dropout: options.conditionDropout,
      },
    }),
  });
  const isolated = (dimension: Dimension): Stage => ({
    name: dimension,
    groups: learning(dimension),
    phases: [phaseOf(dimension)],
    order: 'drawn',
    recipe: { ...RECIPE, steps: RECIPE.steps / 2, warmupSteps: RECIPE.warmupSteps / 2 },
  });
  const joint: Stage = {
    name: 'joint',
    groups,
    phases: DIMENSIONS.map(phaseOf),
    order: 'drawn',
    recipe: RECIPE,
  };
  const parameters = (config: TransformerConfig) =>
    byGroup(traceDualReal(config, options, smallestBatch(config)).parameters, groups, parameterGroup);
  return {
    name: 'dualreal',
    options: { options, training },
    stages: training === 'isolated' ? DIMENSIONS.map(isolated) : [joint],
    inference: {},
    parameters,
    initial: async (config, { seed }) => initialParameters(parameters(config), seed),
    objective: ({ config, phase, shape, trace }) => {
      const dimension: Dimension = phase === 'motion' ? 'motion' : 'identity';
      return dualRealObjective(config, options, shape, learning(dimension), {
        ...trace,
        ...(training === 'isolated' && { dimensions: [dimension] }),
      });
    },
    sampling: ({ config, shape, live = [], trace }) => {
      const { output, injection } = traceDualReal(config, options, shape, { ...trace, live, form });
      return g.program('sample', { output, identityWeights: injection.identityWeights() });
    },
  };
}
