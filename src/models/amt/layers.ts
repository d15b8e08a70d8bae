import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import type { ParameterScope } from '../../nn/parameters.ts';
import { floats } from '../../tensor/host-tensor.ts';
import { convolution } from '../raft/layers.ts';

/** x where positive, else its channel's learned share of it: [B, C, H, W]. */
export function parametricRelu(scope: ParameterScope, x: Value): Value {
  const slope = g.reshape(scope.get('weight', [x.shape[1]]), [1, x.shape[1], 1, 1]);
  return g.sub(g.relu(x), g.mul(slope, g.relu(g.neg(x))));
}

export function leakyRelu(x: Value): Value {
  return g.maximum(x, g.mul(x, 0.1));
}

/** A convolution and its activation, the two entries of a list upstream. */
export function activatedConvolution(
  scope: ParameterScope,
  x: Value,
  out: number,
  kernel = 3,
  stride = 1,
): Value {
  return parametricRelu(scope.at(1), convolution(scope.at(0), x, out, [kernel, kernel], stride));
}

/**
 * Bilinear resizing by a factor without antialiasing, places counted from pixel corners (torch's `interpolate`,
 * align_corners false): [B, C, H, W] → [B, C, H·factor, W·factor].
 */
export function resizeBilinear(x: Value, factor: number): Value {
  const [, , height, width] = x.shape;
  const rows = g.constant(cornerWeights(height, factor));
  const columns = g.constant(cornerWeights(width, factor));
  return g.matmul(g.matmul(rows, x), columns, { transposeB: true });
}

function cornerWeights(from: number, factor: number) {
  const to = Math.floor(from * factor);
  const data = new Float32Array(to * from);
  for (let i = 0; i < to; i++) {
    const place = Math.max(0, (i + 0.5) / factor - 0.5);
    const below = Math.floor(place);
    const above = Math.min(below + 1, from - 1);
    data[i * from + below] += 1 - (place - below);
    data[i * from + above] += place - below;
  }
  return floats([to, from], data);
}

/**
 * Transposed convolution of 4 × 4, stride 2 and padding 1, which doubles the size: [B, C, H, W] → [B, out, 2H, 2W];
 * `weight` is [C, out, 4, 4]. Each of the four kinds of pixel sees 2 × 2 inputs and 2 × 2 of the kernel.
 */
export function doublingConvolution(scope: ParameterScope, x: Value, out: number): Value {
  const [batch, channels, height, width] = x.shape;
  const weight = g.transpose(scope.get('weight', [channels, out, 4, 4]), [1, 0, 2, 3]);
  const bias = scope.get('bias', [out]);
  const phases = [0, 1].map((row) => {
    const pair = [0, 1].map((column) => {
      const kernel = taps(taps(weight, 2, row), 3, column);
      const padding = [1 - row, 1 - column, row, column] as const;
      return g.reshape(g.conv2d(x, kernel, { bias, padding }), [batch, out, height, 1, width, 1]);
    });
    return g.concat(pair, 5); // [B, out, H, 1, W, 2]
  });
  return g.reshape(g.concat(phases, 3), [batch, out, 2 * height, 2 * width]);
}

/** Even pixels see the input before with tap 3 and their own with tap 1; odd ones their own with 2 and the next with 0. */
function taps(weight: Value, axis: number, phase: number): Value {
  const [first, second] = phase === 0 ? [3, 1] : [2, 0];
  return g.concat([g.slice(weight, axis, first, first + 1), g.slice(weight, axis, second, second + 1)], axis);
}

/**
 * Images [B, C, H, W] read where the flow [B, 2, H, W] points, bilinearly; outside there is the border (upstream
 * `flow_utils.warp`).
 */
export function warp(images: Value, flow: Value): Value {
  const [, , height, width] = flow.shape;
  const grid = new Float32Array(height * width * 2);
  for (let i = 0; i < height * width; i++) {
    grid[2 * i] = -1 + (2 * (i % width)) / (width - 1);
    grid[2 * i + 1] = -1 + (2 * Math.floor(i / width)) / (height - 1);
  }
  const scale = g.constant(floats([1, 1, 1, 2], [2 / (width - 1), 2 / (height - 1)]));
  const moved = g.mul(g.transpose(flow, [0, 2, 3, 1]), scale); // [B, H, W, 2]
  const places = g.add(moved, g.constant(floats([1, height, width, 2], grid)));
  return g.gridSample(images, g.clamp(places, -1, 1));
}
