import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import type { ParameterScope } from '../../nn/parameters.ts';
import { type RaftConfig, raftSizes, STRIDE } from './config.ts';
import { convolution } from './layers.ts';

export interface UpdateInputs {
  /** Recurrent state [B, hidden, h, w]. */
  readonly state: Value;
  readonly context: Value;
  readonly correlation: Value;
  /** Flow so far [B, 2, h, w], in pixels of this resolution. */
  readonly flow: Value;
}

export interface UpdateResult {
  readonly state: Value;
  readonly flowChange: Value;
}

/** One refinement (princeton-vl/RAFT `update.py` SmallUpdateBlock and BasicUpdateBlock). */
export function raftUpdate(config: RaftConfig, scope: ParameterScope, inputs: UpdateInputs): UpdateResult {
  const { hidden } = raftSizes(config);
  const { context, correlation, flow } = inputs;
  const motion = motionFeatures(config, scope.at('encoder'), correlation, flow);
  const input = g.concat([context, motion], 1);
  const gru = scope.at('gru');
  let { state } = inputs;
  if (config.small) state = gruStep(gru, '', hidden, state, input, [3, 3]);
  else {
    state = gruStep(gru, '1', hidden, state, input, [1, 5]);
    state = gruStep(gru, '2', hidden, state, input, [5, 1]);
  }
  const head = scope.at('flow_head');
  const inner = g.relu(convolution(head.at('conv1'), state, config.small ? 128 : 256, [3, 3]));
  return { state, flowChange: convolution(head.at('conv2'), inner, 2, [3, 3]) };
}

/** Weights of the convex upsampling, [B, 9·64, h, w]; only the large architecture has them. */
export function upsamplingMask(scope: ParameterScope, state: Value): Value {
  const mask = scope.at('mask');
  const inner = g.relu(convolution(mask.at(0), state, 256, [3, 3]));
  return g.mul(convolution(mask.at(2), inner, 9 * STRIDE * STRIDE, [1, 1]), 0.25);
}

/** Correlation and flow, encoded, with the flow itself as the last two channels. */
function motionFeatures(
  { small }: RaftConfig,
  scope: ParameterScope,
  correlation: Value,
  flow: Value,
): Value {
  let matched = g.relu(convolution(scope.at('convc1'), correlation, small ? 96 : 256, [1, 1]));
  if (!small) matched = g.relu(convolution(scope.at('convc2'), matched, 192, [3, 3]));
  let moved = g.relu(convolution(scope.at('convf1'), flow, small ? 64 : 128, [7, 7]));
  moved = g.relu(convolution(scope.at('convf2'), moved, small ? 32 : 64, [3, 3]));
  const both = convolution(scope.at('conv'), g.concat([matched, moved], 1), small ? 80 : 126, [3, 3]);
  return g.concat([g.relu(both), flow], 1);
}

/** A convolutional gated recurrent unit: h ← (1 − z)·h + z·q. */
function gruStep(
  scope: ParameterScope,
  suffix: '' | '1' | '2',
  hidden: number,
  state: Value,
  input: Value,
  kernel: readonly [number, number],
): Value {
  const gate = (name: string, x: Value) => convolution(scope.at(`conv${name}${suffix}`), x, hidden, kernel);
  const joined = g.concat([state, input], 1);
  const z = g.sigmoid(gate('z', joined));
  const r = g.sigmoid(gate('r', joined));
  const q = g.tanh(gate('q', g.concat([g.mul(r, state), input], 1)));
  return g.add(g.mul(g.sub(1, z), state), g.mul(z, q));
}
