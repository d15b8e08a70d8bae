import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import type { ParameterScope } from '../../nn/parameters.ts';
import { floats } from '../../tensor/host-tensor.ts';
import { convolution } from '../raft/layers.ts';
import { CHANNELS, SIDE_CHANNELS } from './config.ts';
import {
  activatedConvolution,
  doublingConvolution,
  leakyRelu,
  parametricRelu,
  resizeBilinear,
  warp,
} from './layers.ts';

/** Flows from the moment between to both images, [B, 2, h, w] each, and features of that moment [B, C, h, w]. */
export interface MiddleState {
  readonly flow0: Value;
  readonly flow1: Value;
  readonly features: Value;
}

/** Context of an image at 1/2, 1/4, 1/8 and 1/16 of its size (upstream `ifrnet.Encoder`). */
export function contextPyramid(scope: ParameterScope, image: Value): Value[] {
  let x = image;
  return CHANNELS.map((channels, i) => {
    const level = scope.at(`pyramid${i + 1}`);
    x = activatedConvolution(level.at(0), x, channels, 3, 2);
    x = activatedConvolution(level.at(1), x, channels);
    return x;
  });
}

/** The first guess, from context at 1/16, in twice that size (`ifrnet.InitDecoder`); the moment is 1/2. */
export function firstGuess(
  scope: ParameterScope,
  context0: Value,
  context1: Value,
  out: number,
): MiddleState {
  const [batch, channels, height, width] = context0.shape;
  const moment = g.expand(g.constant(floats([1, 1, 1, 1], [0.5])), [batch, 1, height, width]);
  const joined = g.concat([context0, context1, moment], 1);
  return stateOf(decoder(scope, joined, 2 * channels, out + 4));
}

/** Refines flows and features into twice the size (`ifrnet.IntermediateDecoder`). */
export function refine(
  scope: ParameterScope,
  { flow0, flow1, features }: MiddleState,
  context0: Value,
  context1: Value,
  out: number,
): MiddleState {
  const joined = g.concat([features, warp(context0, flow0), warp(context1, flow1), flow0, flow1], 1);
  const change = stateOf(decoder(scope, joined, 3 * context0.shape[1], out + 4));
  return {
    flow0: g.add(change.flow0, enlargedFlow(flow0)),
    flow1: g.add(change.flow1, enlargedFlow(flow1)),
    features: change.features,
  };
}

/** Several flow fields each way, their masks and residues, at full size (`multi_flow.MultiFlowDecoder`). */
export interface ManyFlows {
  /** [B, 2·n, H, W]. */
  readonly flows0: Value;
  readonly flows1: Value;
  /** Share of the first image, [B, n, H, W]. */
  readonly mask: Value;
  /** [B, 3·n, H, W]. */
  readonly residue: Value;
}

export function manyFlows(
  scope: ParameterScope,
  { flow0, flow1, features }: MiddleState,
  context0: Value,
  context1: Value,
  count: number,
): ManyFlows {
  const joined = g.concat([features, warp(context0, flow0), warp(context1, flow1), flow0, flow1], 1);
  const out = decoder(scope, joined, 3 * context0.shape[1], 8 * count);
  const [change0, change1, mask, residue] = g.split(out, 1, [2 * count, 2 * count, count, 3 * count]);
  const repeated = (flow: Value) => g.concat(new Array<Value>(count).fill(enlargedFlow(flow)), 1);
  return {
    flows0: g.add(change0, repeated(flow0)),
    flows1: g.add(change1, repeated(flow1)),
    mask: g.sigmoid(mask),
    residue,
  };
}

/** What a correlation look-up changes: features and both flows (upstream `raft.SmallUpdateBlock`). */
export function correlationUpdate(
  scope: ParameterScope,
  { flow, correlation, features }: { flow: Value; correlation: Value; features: Value },
  reduction: number,
): { readonly features: Value; readonly flow: Value } {
  const channels = features.shape[1];
  const small = reduction === 1 ? features : resizeBilinear(features, 1 / reduction);
  const matched = leakyRelu(convolution(scope.at('convc1'), correlation, 64, [1, 1]));
  let moved = leakyRelu(convolution(scope.at('convf1'), flow, 40, [7, 7]));
  moved = leakyRelu(convolution(scope.at('convf2'), moved, 20, [3, 3]));
  const both = leakyRelu(convolution(scope.at('conv'), g.concat([matched, moved], 1), 68, [3, 3]));
  const state = twoConvolutions(scope.at('gru'), g.concat([both, flow, small], 1), 76);
  const featureChange = twoConvolutions(scope.at('feat_head'), state, channels);
  const flowChange = twoConvolutions(scope.at('flow_head'), state, 4);
  if (reduction === 1) return { features: featureChange, flow: flowChange };
  return {
    features: resizeBilinear(featureChange, reduction),
    flow: g.mul(resizeBilinear(flowChange, reduction), reduction),
  };
}

const HIDDEN = 76;

function twoConvolutions(scope: ParameterScope, x: Value, out: number): Value {
  const inner = leakyRelu(convolution(scope.at(0), x, HIDDEN, [3, 3]));
  return convolution(scope.at(2), inner, out, [3, 3]);
}

function decoder(scope: ParameterScope, x: Value, inner: number, out: number): Value {
  const block = scope.at('convblock');
  const started = activatedConvolution(block.at(0), x, inner);
  return doublingConvolution(block.at(2), residual(block.at(1), started), out);
}

/** Five convolutions around a skip; two of them refine the last channels only (`ifrnet.ResBlock`). */
function residual(scope: ParameterScope, x: Value): Value {
  const channels = x.shape[1];
  const refineSide = (name: string, value: Value) => {
    const [main, side] = g.split(value, 1, [channels - SIDE_CHANNELS, SIDE_CHANNELS]);
    return g.concat([main, activatedConvolution(scope.at(name), side, SIDE_CHANNELS)], 1);
  };
  let y = activatedConvolution(scope.at('conv1'), x, channels);
  y = activatedConvolution(scope.at('conv3'), refineSide('conv2', y), channels);
  y = convolution(scope.at('conv5'), refineSide('conv4', y), channels, [3, 3]);
  return parametricRelu(scope.at('prelu'), g.add(x, y));
}

function stateOf(out: Value): MiddleState {
  const [flow0, flow1, features] = g.split(out, 1, [2, 2, out.shape[1] - 4]);
  return { flow0, flow1, features };
}

/** A flow in twice the size, in pixels of that size. */
function enlargedFlow(flow: Value): Value {
  return g.mul(resizeBilinear(flow, 2), 2);
}
