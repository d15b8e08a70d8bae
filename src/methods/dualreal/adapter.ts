import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import { linear } from '../../nn/layers.ts';
import type { ParameterScope } from '../../nn/parameters.ts';
import type { DualRealOptions } from './options.ts';

/** One adapter's share at a site: its parameters, its weight ω [B, 1, 1] and, for motion, the condition. */
export interface AdapterShare {
  readonly scope: ParameterScope;
  /** [B, 1, 1]. */
  readonly weight: Value;
  /** Image embedding [B, 1, E]; absent for identity adapters and in the identity phase. */
  readonly condition: Value | undefined;
  /** What the mapped condition is multiplied with, [B, 1, 1]; absent: 1. */
  readonly conditionStrength?: Value | undefined;
}

/** The options that one adapter's form depends on. */
export type AdapterForm = Pick<
  DualRealOptions,
  'bottleneck' | 'geluPlacement' | 'skip' | 'conditionForm' | 'weightTotal'
>;

/**
 * One adapter without its weight: Up(GELU(Down(h + C·y))) [+ h] (DR model/dit.py Adapter; paper Eq. 1–2
 * with other options). h is [B, T, D]. The skip takes the unconditioned h.
 */
export function adapterOutput(share: AdapterShare, h: Value, options: AdapterForm): Value {
  const isBetween = options.geluPlacement === 'between';
  const projected = jointProjection([share], h, options);
  const up = linear(share.scope.at('up_linear'), isBetween ? g.gelu(projected) : projected, h.shape[2]);
  const out = isBetween ? up : g.gelu(up);
  return options.skip ? g.add(h, out) : out;
}

/**
 * output + Σ ωₖ·Aₖ(h) for the adapters of one site. Where GELU sits between the projections the adapters
 * are computed as one of their joint width, which halves the number of passes.
 */
export function addAdapters(
  output: Value,
  h: Value,
  shares: readonly AdapterShare[],
  options: AdapterForm,
): Value {
  if (shares.length === 0) return output;
  if (options.geluPlacement === 'outside') {
    return shares.reduce(
      (sum, share) => g.add(sum, g.mul(adapterOutput(share, h, options), share.weight)),
      output,
    );
  }
  const width = h.shape[2];
  const ups = shares.map(({ scope }) => scope.at('up_linear'));
  return addJointAdapters(output, h, {
    projected: jointProjection(shares, h, options),
    weights: shares.map(({ weight }) => weight),
    up: g.concat(
      ups.map((up) => up.get('weight', [width, options.bottleneck])),
      1,
    ),
    upBiases: g.concat(
      ups.map((up) => g.reshape(up.get('bias', [width]), [1, width])),
      0,
    ),
    skip: options.skip ? options.weightTotal : 0,
  });
}

/** K adapters of one site side by side, with GELU between their projections. */
export interface JointAdapters {
  /** All down projections of h, before GELU, [B, T, K·bottleneck]. */
  readonly projected: Value;
  /** ω of each, [B, 1, 1]. They sum to `skip` where K is more than one. */
  readonly weights: readonly Value[];
  /** [D, K·bottleneck]. */
  readonly up: Value;
  /** [K, D]. */
  readonly upBiases: Value;
  /** What the weights sum to where the adapters' results include h, else 0. */
  readonly skip: number;
}

/** output + Up(ω ⊙ GELU(projected)) + Σ ωₖ·bₖ + Σ ωₖ·h, with h and output [B, T, D] taken in by the products. */
export function addJointAdapters(output: Value, h: Value, joint: JointAdapters): Value {
  const [batch, tokens, width] = h.shape;
  const { projected, weights, up, upBiases, skip } = joint;
  const [count, features] = [weights.length, projected.shape[2]];
  const row = g.reshape(g.concat(weights, 2), [batch, count]);
  const perFeature = g.expand(g.reshape(row, [batch, count, 1]), [batch, count, features / count]);
  const hidden = g.mul(g.gelu(projected), g.reshape(perFeature, [batch, 1, features]));
  const flat = (x: Value, extent: number) => g.reshape(x, [batch * tokens, extent]);
  const product = (addend: Value, addendScale: number) =>
    g.gemm(flat(hidden, features), up, { transposeB: true, addendScale }, flat(addend, width));
  const bias = g.reshape(g.gemm(row, upBiases), [batch, 1, width]);
  if (skip !== 0 && count > 1) {
    const { sum, bias: outputBias } = g.addToLinear(flat(output, width), product(h, skip));
    return g.add(g.reshape(sum, h.shape), outputBias ? g.add(bias, outputBias) : bias);
  }
  const sum = g.add(g.reshape(product(output, 1), h.shape), bias);
  return skip === 0 ? sum : g.add(sum, g.mul(h, weights[0]));
}

/** The down projections of h, each with its condition, side by side: [B, T, D] → [B, T, K·bottleneck]. */
function jointProjection(shares: readonly AdapterShare[], h: Value, options: AdapterForm): Value {
  const width = h.shape[2];
  const projections = shares.map((share) => {
    const down = share.scope.at('down_linear');
    const weight = down.get('weight', [options.bottleneck, width]);
    const bias = down.get('bias', [options.bottleneck]);
    return { weight, bias, mapped: mappedCondition(share, width) };
  });
  if (options.conditionForm === 'multiply' && projections.some(({ mapped }) => mapped)) {
    const each = projections.map(({ weight, bias, mapped }) =>
      g.linear(mapped ? g.mul(h, mapped) : h, weight, bias),
    );
    return g.concat(each, 2);
  }
  const weight = g.concat(
    projections.map((part) => part.weight),
    0,
  );
  if (projections.every(({ mapped }) => !mapped)) {
    const biases = projections.map(({ bias }) => bias);
    return g.linear(h, weight, g.concat(biases, 0));
  }
  // Down(h + c) = Down(h) + Down(c): the condition costs one row per sample instead of one per token.
  const rows = projections.map((part) =>
    part.mapped
      ? g.linear(part.mapped, part.weight, part.bias)
      : g.expand(part.bias, [h.shape[0], 1, options.bottleneck]),
  );
  return g.add(g.linear(h, weight), g.concat(rows, 2));
}

/** The condition as a feature per channel, [B, 1, D]. */
function mappedCondition(share: AdapterShare, width: number): Value | undefined {
  const { scope, condition, conditionStrength } = share;
  const mapped = condition && linear(scope.at('condition_linear'), condition, width);
  return mapped && conditionStrength ? g.mul(mapped, conditionStrength) : mapped;
}
