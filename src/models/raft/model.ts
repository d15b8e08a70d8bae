import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import type { ParameterScope } from '../../nn/parameters.ts';
import { ShapeError } from '../../tensor/errors.ts';
import { floats } from '../../tensor/host-tensor.ts';
import { formatShape } from '../../tensor/shape.ts';
import type { Probe } from '../probe.ts';
import { MIN_SIDE, type RaftConfig, raftSizes, STRIDE } from './config.ts';
import { correlationPyramid, lookUp } from './correlation.ts';
import { raftEncoder } from './encoder.ts';
import { raftUpdate, upsamplingMask } from './update.ts';
import { bilinearUpsample, convexUpsample } from './upsample.ts';

/** Two images [B, 3, H, W] with values 0 … 255; H and W multiples of 8, at least 128. */
export interface RaftInputs {
  readonly first: Value;
  readonly second: Value;
}

/**
 * RAFT: optical flow from the first image to the second, [B, 2, H, W] as (x, y) in pixels, after
 * `config.iterations` refinements (princeton-vl/RAFT `core/raft.py`, test mode, no initial flow).
 */
export function raftFlow(
  config: RaftConfig,
  scope: ParameterScope,
  { first, second }: RaftInputs,
  probe?: Probe,
): Value {
  requireImages(first);
  const { small } = config;
  const { hidden, context, features, radius } = raftSizes(config);
  const batch = first.shape[0];
  const images = g.sub(g.mul(g.concat([first, second], 0), 2 / 255), 1); // [2·B, 3, H, W]
  const maps = raftEncoder({ small, norm: 'instance', out: features }, scope.at('fnet'), images);
  const [from, to] = g.chunk(maps, 0, 2); // [B, features, h, w]
  probe?.('fmap1', from);
  const pyramid = correlationPyramid(from, to);

  const contextShape = { small, norm: small ? 'none' : 'batch', out: hidden + context } as const;
  const both = raftEncoder(contextShape, scope.at('cnet'), g.slice(images, 0, 0, batch));
  probe?.('cnet', both);
  const [start, input] = g.split(both, 1, [hidden, context]);
  let state = g.tanh(start);
  const fixed = g.relu(input);

  const origin = g.constant(pixelGrid(from.shape[2], from.shape[3])); // [1, 2, h, w]
  let places = g.expand(origin, [batch, 2, ...from.shape.slice(2)]);
  let flow = g.sub(places, origin);
  const update = scope.at('update_block');
  const upsampled = () =>
    small ? bilinearUpsample(flow) : convexUpsample(flow, upsamplingMask(update, state));
  for (let iteration = 0; iteration < config.iterations; iteration++) {
    const correlation = lookUp(pyramid, places, radius);
    probe?.(`corr_iter${iteration}`, correlation);
    const result = raftUpdate(config, update, { state, context: fixed, correlation, flow });
    state = result.state;
    places = g.add(places, result.flowChange);
    flow = g.sub(places, origin);
    probe?.(`flow_iter${iteration}`, upsampled());
  }
  probe?.('flow_low', flow);
  return upsampled();
}

/** The place (x, y) of each pixel: [1, 2, h, w]. */
function pixelGrid(height: number, width: number) {
  const data = new Float32Array(2 * height * width);
  for (let i = 0; i < height * width; i++) {
    data[i] = i % width;
    data[height * width + i] = Math.floor(i / width);
  }
  return floats([1, 2, height, width], data);
}

function requireImages({ shape }: Value): void {
  const [, channels, height, width] = shape;
  const fits = [height, width].every((side) => side % STRIDE === 0 && side >= MIN_SIDE);
  if (shape.length === 4 && channels === 3 && fits) return;
  throw new ShapeError({
    where: 'RAFT',
    expected: `images [B, 3, H, W] whose sides are multiples of ${STRIDE} and at least ${MIN_SIDE}`,
    got: formatShape(shape),
    hint: 'enlarge small images first: the coarsest correlation level must be two pixels wide',
  });
}
