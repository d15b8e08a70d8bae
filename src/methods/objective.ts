import type { Value } from '../graph/index.ts';
import * as g from '../graph/index.ts';
import {
  cogVideoXTransformer,
  type TransformerConfig,
  type TransformerHooks,
  type TransformerInputs,
  type TransformerOptions,
} from '../models/cogvideox/transformer/index.ts';
import { type ParameterScope, Parameters } from '../nn/parameters.ts';
import { GRADIENT_PREFIX } from '../runtime/index.ts';
import type { Shape } from '../tensor/shape.ts';

/** Extents of one batch, and which of the optional inputs it comes with. */
export interface BatchShape {
  readonly batch: number;
  readonly latentFrames: number;
  readonly latentHeight: number;
  readonly latentWidth: number;
  readonly textTokens: number;
  /** Whether an image embedding is given: input `condition` [B, 1, E]. */
  readonly conditioned: boolean;
  /** Whether subject masks are given: input `mask` [B, f, 1, h, w]. */
  readonly masked?: boolean;
}

/** The inputs of every program of every method. */
export function modelInputs(
  config: TransformerConfig,
  { batch, latentFrames, latentHeight, latentWidth, textTokens }: BatchShape,
): TransformerInputs {
  return {
    latents: g.input('latents', [batch, latentFrames, config.latentChannels, latentHeight, latentWidth]),
    text: g.input('text', [batch, textTokens, config.textDim]),
    timestep: g.input('timestep', [batch]),
  };
}

export type TraceOptions = Omit<TransformerOptions, 'hooks'>;

/** How a method changes the model: hooks, and the text embeddings it sees. */
export interface Changes {
  readonly hooks?: TransformerHooks;
  readonly text?: Value;
}

export interface TracedModel {
  readonly parameters: Parameters;
  /** Predicted velocity [B, f, C, h, w]. */
  readonly output: Value;
}

/**
 * Traces the transformer as a method changes it. Parameters that `isTrainable` names become inputs, all
 * others weights.
 */
export function traceModel(
  config: TransformerConfig,
  shape: BatchShape,
  isTrainable: (path: string) => boolean,
  change: (root: ParameterScope, inputs: TransformerInputs) => Changes,
  trace: TraceOptions = {},
): TracedModel {
  const parameters = new Parameters(isTrainable);
  const inputs = modelInputs(config, shape);
  const { hooks = {}, text = inputs.text } = change(parameters.root, inputs);
  const output = cogVideoXTransformer(config, parameters.root, { ...inputs, text }, { ...trace, hooks });
  return { parameters, output };
}

/** v̂ − v, with the velocity v = √ᾱ·ε − √(1−ᾱ)·x₀ as input `target`: [B, f, C, h, w]. */
export function velocityError(prediction: Value): Value {
  return g.sub(prediction, g.input('target', prediction.shape));
}

/** The plain loss: mean squared error of the velocity. */
export function velocityLoss(prediction: Value): Value {
  return g.mean(g.square(velocityError(prediction)));
}

/**
 * Outputs `loss`, `extras` and `gradient:<name>` for every learning parameter that the loss depends on.
 */
export function trainingProgram(
  name: string,
  { loss, extras = {} }: { readonly loss: Value; readonly extras?: Readonly<Record<string, Value>> },
  parameters: Parameters,
  isLearning: (path: string) => boolean,
): g.Program {
  const learned = [...parameters.declared].filter(([path]) => isLearning(path));
  const gradients = g.gradients(
    loss,
    learned.map(([, { value }]) => value),
  );
  const outputs: Record<string, Value> = { loss, ...extras };
  for (const [i, [path]] of learned.entries()) {
    const gradient = gradients[i];
    if (gradient) outputs[GRADIENT_PREFIX + path] = gradient;
  }
  return g.program(name, outputs);
}

/** The smallest batch a transformer can be traced with, to learn what it declares. */
export function smallestBatch(config: TransformerConfig): BatchShape {
  return {
    batch: 1,
    latentFrames: 1,
    latentHeight: config.patch,
    latentWidth: config.patch,
    textTokens: 1,
    conditioned: true,
    masked: true,
  };
}

/** A tensor that a method trains, and the group it learns and rests with. */
export interface MethodParameter {
  readonly shape: Shape;
  readonly group: string;
}

/** What was declared of the named groups, group by group, as optimizers want it. */
export function byGroup(
  { declared }: Parameters,
  groups: readonly string[],
  groupOf: (path: string) => string | undefined,
): ReadonlyMap<string, MethodParameter> {
  return new Map(
    groups.flatMap((group) =>
      [...declared]
        .filter(([path]) => groupOf(path) === group)
        .map(([path, { shape }]) => [path, { shape, group }] as const),
    ),
  );
}
