import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import type { ParameterScope } from '../../nn/parameters.ts';
import { convolution, normalization, type RaftNorm } from './layers.ts';

interface EncoderShape {
  readonly small: boolean;
  readonly norm: RaftNorm;
  readonly out: number;
}

/**
 * RAFT's convolutional encoder: images [B, 3, H, W] → [B, out, H/8, W/8] (princeton-vl/RAFT `extractor.py`
 * BasicEncoder and SmallEncoder).
 */
export function raftEncoder({ small, norm, out }: EncoderShape, scope: ParameterScope, images: Value): Value {
  const block = small ? bottleneckBlock : residualBlock;
  const [first, ...later] = small ? [32, 32, 64, 96] : [64, 64, 96, 128];
  let x = convolution(scope.at('conv1'), images, first, [7, 7], 2);
  x = g.relu(normalization(norm, scope.at('norm1'), x));
  for (const [i, channels] of later.entries()) {
    const layer = scope.at(`layer${i + 1}`);
    x = block(norm, layer.at(0), x, channels, i === 0 ? 1 : 2);
    x = block(norm, layer.at(1), x, channels, 1);
  }
  return convolution(scope.at('conv2'), x, out, [1, 1]);
}

type Stage = readonly [out: number, side: number, stride: number];

/** Convolutions with norm and ReLU each, added to the (where strided, projected) input. */
function block(
  norm: RaftNorm,
  scope: ParameterScope,
  x: Value,
  stages: readonly Stage[],
  stride: number,
): Value {
  let y = x;
  for (const [i, [out, side, step]] of stages.entries()) {
    y = convolution(scope.at(`conv${i + 1}`), y, out, [side, side], step);
    y = g.relu(normalization(norm, scope.at(`norm${i + 1}`), y));
  }
  if (stride === 1) return g.relu(g.add(x, y));
  const shortcut = scope.at('downsample');
  const projected = convolution(shortcut.at(0), x, y.shape[1], [1, 1], stride);
  return g.relu(g.add(normalization(norm, shortcut.at(1), projected), y));
}

function residualBlock(
  norm: RaftNorm,
  scope: ParameterScope,
  x: Value,
  channels: number,
  stride: number,
): Value {
  const stages: Stage[] = [
    [channels, 3, stride],
    [channels, 3, 1],
  ];
  return block(norm, scope, x, stages, stride);
}

function bottleneckBlock(
  norm: RaftNorm,
  scope: ParameterScope,
  x: Value,
  channels: number,
  stride: number,
): Value {
  const stages: Stage[] = [
    [channels / 4, 1, 1],
    [channels / 4, 3, stride],
    [channels, 1, 1],
  ];
  return block(norm, scope, x, stages, stride);
}
