import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import type { ParameterScope } from '../../nn/parameters.ts';
import { ShapeError } from '../../tensor/errors.ts';
import { floats } from '../../tensor/host-tensor.ts';
import { formatShape } from '../../tensor/shape.ts';
import type { Probe } from '../probe.ts';
import { correlationPyramid, lookUp } from '../raft/correlation.ts';
import { raftEncoder } from '../raft/encoder.ts';
import { convolution } from '../raft/layers.ts';
import {
  contextPyramid,
  correlationUpdate,
  firstGuess,
  type ManyFlows,
  type MiddleState,
  manyFlows,
  refine,
} from './blocks.ts';
import { type AmtConfig, CHANNELS, FEATURES, MIN_SIDE, RADIUS, STRIDE } from './config.ts';
import { parametricRelu, resizeBilinear, warp } from './layers.ts';

/** Two images [B, 3, H, W] with values 0 … 1; H and W multiples of 16, at least 128. */
export interface AmtInputs {
  readonly first: Value;
  readonly second: Value;
}

/**
 * AMT-S: the image half-way between two, [B, 3, H, W] in 0 … 1 (MCG-NKU/AMT `networks/AMT-S.py`, embt 0.5,
 * scale_factor 1).
 */
export function amtMiddle(config: AmtConfig, scope: ParameterScope, inputs: AmtInputs, probe?: Probe): Value {
  requireImages(inputs.first);
  const mean = g.mean(g.concat([inputs.first, inputs.second], 2), [1, 2, 3], true); // [B, 1, 1, 1]
  const [image0, image1] = [g.sub(inputs.first, mean), g.sub(inputs.second, mean)];
  const [, , height, width] = image0.shape;

  const matching = { small: true, norm: 'instance', out: FEATURES } as const;
  const maps = raftEncoder(matching, scope.at('feat_encoder'), g.concat([image0, image1], 0));
  const [map0, map1] = g.chunk(maps, 0, 2); // [B, 84, H/8, W/8]
  probe?.('fmap0', map0);
  const pyramids = [correlationPyramid(map0, map1), correlationPyramid(map1, map0)];
  const origin = g.constant(pixelGrid(height / 8, width / 8)); // [1, 2, H/8, W/8]

  const [context0, context1] = [image0, image1].map((image) => contextPyramid(scope.at('encoder'), image));
  const update = (state: MiddleState, level: number): MiddleState => {
    const reduction = 2 ** (4 - level);
    const [small0, small1] = [state.flow0, state.flow1].map((flow) =>
      reduction === 1 ? flow : g.mul(resizeBilinear(flow, 1 / reduction), 1 / reduction),
    );
    // Half-way in time, flow to one image goes on as far again to the other.
    const correlation = g.concat(
      [small1, small0].map((flow, i) => {
        const places = g.add(g.expand(origin, flow.shape), g.mul(flow, 2));
        return lookUp(pyramids[i], places, RADIUS);
      }),
      1,
    );
    probe?.(`corr_${level}`, correlation);
    const flow = g.concat([small0, small1], 1);
    const change = correlationUpdate(
      scope.at(`update${level}`),
      { flow, correlation, features: state.features },
      reduction,
    );
    probe?.(`delta_flow_${level}`, change.flow);
    const [change0, change1] = g.chunk(change.flow, 1, 2);
    return {
      flow0: g.add(state.flow0, change0),
      flow1: g.add(state.flow1, change1),
      features: g.add(state.features, change.features),
    };
  };
  const seen = (state: MiddleState, level: number): MiddleState => {
    probe?.(`flow0_${level}`, state.flow0);
    probe?.(`ft_${level}`, state.features);
    return state;
  };

  let state = update(seen(firstGuess(scope.at('decoder4'), context0[3], context1[3], CHANNELS[2]), 4), 4);
  for (const level of [3, 2]) {
    const [near0, near1] = [context0[level - 1], context1[level - 1]];
    state = update(
      seen(refine(scope.at(`decoder${level}`), state, near0, near1, CHANNELS[level - 2]), level),
      level,
    );
  }
  const many = manyFlows(scope.at('decoder1'), state, context0[0], context1[0], config.flows);
  probe?.('flow0_1', many.flows0);
  probe?.('flow1_1', many.flows1);
  probe?.('mask', many.mask);
  probe?.('residue', many.residue);
  const middle = merged(scope.at('comb_block'), image0, image1, many, mean);
  const result = g.clamp(middle, 0, 1);
  probe?.('imgt_pred', result);
  return result;
}

/** Both images brought to the middle along every flow, blended, and merged (`multi_flow.multi_flow_combine`). */
function merged(scope: ParameterScope, image0: Value, image1: Value, many: ManyFlows, mean: Value): Value {
  const [batch, , height, width] = image0.shape;
  const count = many.mask.shape[1];
  const separate = (value: Value) => g.reshape(value, [batch * count, value.shape[1] / count, height, width]); // [B·n, …, H, W]
  const repeated = (value: Value) => {
    const [, channels, rows, columns] = value.shape;
    const one = g.reshape(value, [batch, 1, channels, rows, columns]);
    const all = g.expand(one, [batch, count, channels, rows, columns]);
    return g.reshape(all, [batch * count, channels, rows, columns]);
  };
  const mask = separate(many.mask);
  const warped0 = g.mul(mask, warp(repeated(image0), separate(many.flows0)));
  const warped1 = g.mul(g.sub(1, mask), warp(repeated(image1), separate(many.flows1)));
  const blended = g.add(g.add(g.add(warped0, warped1), repeated(mean)), separate(many.residue));
  const all = g.reshape(blended, [batch, count, 3, height, width]);
  const side = g.reshape(blended, [batch, 3 * count, height, width]);
  const inner = parametricRelu(scope.at(1), convolution(scope.at(0), side, 6 * count, [3, 3]));
  return g.add(g.mean(all, [1], false), convolution(scope.at(2), inner, 3, [3, 3]));
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
    where: 'AMT',
    expected: `images [B, 3, H, W] whose sides are multiples of ${STRIDE} and at least ${MIN_SIDE}`,
    got: formatShape(shape),
  });
}
