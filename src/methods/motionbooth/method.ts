import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import type { TransformerConfig } from '../../models/cogvideox/transformer/index.ts';
import { baseParameters, copyOfBase, TRANSFORMER_GROUP } from '../full/method.ts';
import { injectLora, loraAdapterOf } from '../lora/inject.ts';
import { initialLora } from '../lora/lora.ts';
import { loraLayers } from '../lora/options.ts';
import type { Method, ObjectiveRequest, Stage, StageRecipe } from '../method.ts';
import {
  type BatchShape,
  byGroup,
  type Changes,
  smallestBatch,
  type TracedModel,
  type TraceOptions,
  traceModel,
  trainingProgram,
  velocityError,
  velocityLoss,
} from '../objective.ts';
import { maskInput, regionLoss } from '../region.ts';
import { subjectTokensInput } from '../subject-tokens.ts';
import { attentionLoss, recordAttention, tokenMask } from './attention-loss.ts';
import { type MotionBoothOptions, motionBoothOptionsSchema } from './options.ts';

const LORA_GROUP = 'subject';

/**
 * MotionBooth (Wu et al., NeurIPS 2024; scripts/train.py): the model is tuned on photos with a loss inside
 * the subject's region and one on where its words are attended to, in turn with generic clips, which keep
 * its sense of motion. No motion is learnt: it comes from the prompt.
 */
export function motionBoothMethod(
  options: Partial<Omit<MotionBoothOptions, 'lora'>> & { lora?: object } = {},
): Method {
  const complete = motionBoothOptionsSchema.parse(options);
  const isFull = complete.tune === 'full';
  const group = isFull ? TRANSFORMER_GROUP : LORA_GROUP;
  const belongs = (path: string) => isFull || loraAdapterOf(path) === LORA_GROUP;
  const trace = (
    config: TransformerConfig,
    shape: BatchShape,
    isTrainable: (path: string) => boolean,
    changes: Changes = {},
    traceOptions: TraceOptions = {},
  ): TracedModel =>
    traceModel(
      config,
      shape,
      isTrainable,
      (root) => {
        if (isFull) return changes;
        const adapter = { name: LORA_GROUP, layers: loraLayers(config, complete.lora) };
        return { ...changes, hooks: { ...changes.hooks, ...injectLora(root, [adapter]) } };
      },
      traceOptions,
    );
  const parameters = (config: TransformerConfig) =>
    isFull
      ? baseParameters(config)
      : byGroup(trace(config, smallestBatch(config), belongs).parameters, [group], loraAdapterOf);

  const subjectObjective = ({ config, shape, trace: traceOptions }: ObjectiveRequest) => {
    const attention = recordAttention(config.blocks, subjectTokensInput(shape), complete);
    const traced = trace(config, shape, belongs, { hooks: attention.hooks }, traceOptions);
    const mask = maskInput(shape);
    const extras: Record<string, Value> = {
      regionLoss: regionLoss(velocityError(traced.output), mask, 'positions'),
      attentionLoss: attentionLoss(attention.mean(), tokenMask(mask, config.patch)),
    };
    const loss = g.add(extras.regionLoss, g.mul(extras.attentionLoss, complete.attentionWeight));
    return trainingProgram('motionbooth-subject', { loss, extras }, traced.parameters, belongs);
  };

  return {
    name: 'motionbooth',
    options: complete,
    stages: [stageOf(group, isFull ? 5e-6 : 1e-4)],
    subjectWord: 'captions',
    inference: {},
    parameters,
    initial: async (config, sources) =>
      isFull ? copyOfBase(config, sources) : initialLora(parameters(config), sources.seed),
    objective: (request) => {
      const { config, phase, shape, trace: traceOptions } = request;
      if (phase === 'subject' && shape.masked) return subjectObjective(request);
      const traced = trace(config, shape, belongs, {}, traceOptions);
      const loss = velocityLoss(traced.output);
      return trainingProgram(`motionbooth-${phase}`, { loss }, traced.parameters, belongs);
    },
    sampling: ({ config, shape, live = [], trace: traceOptions }) => {
      const isTrainable = (path: string) => live.includes(group) && belongs(path);
      return g.program('sample-motionbooth', {
        output: trace(config, shape, isTrainable, {}, traceOptions).output,
      });
    },
  };
}

/**
 * Published: 300 updates, each the mean of a batch of photos and one clip. Here the two take turns, so that
 * as many of each take 600 updates.
 */
function stageOf(group: string, learningRate: number): Stage {
  const recipe: StageRecipe = {
    steps: 600,
    learningRate,
    warmupSteps: 0,
    schedule: 'constant',
    betas: [0.9, 0.999],
    weightDecay: 0.01,
    maxGradientNorm: 1,
  };
  return {
    name: 'subject',
    groups: [group],
    phases: [
      { name: 'subject', data: 'identity', learning: [group], batch: 10, masks: true },
      { name: 'preservation', data: 'generic', learning: [group], batch: 1 },
    ],
    order: 'in-turn',
    recipe,
  };
}
