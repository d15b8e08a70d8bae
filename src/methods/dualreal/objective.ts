import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import {
  cogVideoXTransformer,
  type TransformerConfig,
  type TransformerOptions,
} from '../../models/cogvideox/transformer/index.ts';
import { Parameters } from '../../nn/parameters.ts';
import { type BatchShape, modelInputs, trainingProgram, velocityLoss } from '../objective.ts';
import { type Injection, type InjectionRequest, injectDualReal } from './inject.ts';
import { type ParameterGroup, parameterGroup } from './names.ts';
import type { DualRealOptions } from './options.ts';

export type { BatchShape } from '../objective.ts';

export type TraceOptions = Omit<TransformerOptions, 'hooks'> &
  Pick<InjectionRequest, 'dimensions' | 'shares' | 'form'> & {
    /** Adapters and controller are weights too, which is faster where nothing is trained. */
    readonly frozen?: boolean;
    /** Only these groups are trainable inputs; default: all, or none where frozen. */
    readonly live?: readonly string[];
  };

export interface DualRealModel {
  readonly parameters: Parameters;
  readonly injection: Injection;
  /** Predicted velocity [B, f, C, h, w]. */
  readonly output: Value;
}

/**
 * Traces the transformer with both adapters over the inputs `latents` [B, f, C, h, w], `text` [B, S, E],
 * `timestep` [B] and, where conditioned, `condition` [B, 1, conditionDim]. Adapters and controller are
 * trainable inputs, the base model's parameters weights.
 */
export function traceDualReal(
  config: TransformerConfig,
  options: DualRealOptions,
  shape: BatchShape,
  extra: TraceOptions = {},
): DualRealModel {
  const { dimensions, shares, form, frozen = false, live, ...transformerOptions } = extra;
  const parameters = new Parameters((path) => {
    const group = parameterGroup(path);
    return group !== undefined && (live ? live.includes(group) : !frozen);
  });
  const { batch } = shape;
  const injection = injectDualReal({
    options,
    blocks: config.blocks,
    batch,
    scope: parameters.root,
    ...(shape.conditioned && { condition: g.input('condition', [batch, 1, options.conditionDim]) }),
    ...(dimensions && { dimensions }),
    ...(shares && { shares }),
    ...(form && { form }),
    ...(extra.probe && { probe: extra.probe }),
  });
  const output = cogVideoXTransformer(config, parameters.root, modelInputs(config, shape), {
    ...transformerOptions,
    hooks: injection.hooks,
  });
  return { parameters, injection, output };
}

/**
 * The training program of one phase: input `target` is the velocity √ᾱ·ε − √(1−ᾱ)·x₀; outputs are `loss`,
 * `identityWeights` [B, n] and one gradient for every parameter of `learning` that the loss depends on.
 *
 * The release turns the predicted velocity into x₀ and weights its squared error by 1/(1−ᾱ); that is
 * exactly the plain squared error of the velocity, which is what is computed here.
 */
export function dualRealObjective(
  config: TransformerConfig,
  options: DualRealOptions,
  shape: BatchShape,
  learning: readonly ParameterGroup[],
  extra: TraceOptions = {},
): g.Program {
  const { parameters, injection, output } = traceDualReal(config, options, shape, extra);
  const losses = { loss: velocityLoss(output), extras: { identityWeights: injection.identityWeights() } };
  return trainingProgram(`dualreal-${learning.join('-')}`, losses, parameters, (path) => {
    const group = parameterGroup(path);
    return group !== undefined && learning.includes(group);
  });
}
