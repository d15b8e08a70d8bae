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
}

/**
 * One adapter without its weight: Up(GELU(Down(h + C·y))) [+ h] (DR model/dit.py Adapter; paper Eq. 1–2
 * with other options). h is [B, T, D]. The skip takes the unconditioned h.
 */
export function adapterOutput(share: AdapterShare, h: Value, options: DualRealOptions): Value {
  const width = h.shape[2];
  const up = linear(share.scope.at('up_linear'), hiddenFeatures(share, h, options), width);
  const out = options.geluPlacement === 'outside' ? g.gelu(up) : up;
  return options.skip ? g.add(h, out) : out;
}

/**
 * output + Σ ωₖ·Aₖ(h) for the adapters of one site. Where GELU sits between the projections the weight is
 * applied to the narrow hidden features, and each Up adds to the running sum inside its matrix product.
 * With the skip, both adapters' shares of h add up to `weightTotal`·h when both are present.
 */
export function addAdapters(
  output: Value,
  h: Value,
  shares: readonly AdapterShare[],
  options: DualRealOptions,
): Value {
  if (shares.length === 0) return output;
  if (options.geluPlacement === 'outside') {
    return shares.reduce(
      (sum, share) => g.add(sum, g.mul(adapterOutput(share, h, options), share.weight)),
      output,
    );
  }
  const [batch, tokens, width] = h.shape;
  let sum = g.reshape(output, [batch * tokens, width]);
  let bias: Value | undefined;
  for (const share of shares) {
    const hidden = g.mul(hiddenFeatures(share, h, options), share.weight); // [B, T, bottleneck]
    const up = share.scope.at('up_linear');
    const flat = g.reshape(hidden, [batch * tokens, options.bottleneck]);
    sum = g.gemm(flat, up.get('weight', [width, options.bottleneck]), { transposeB: true }, sum);
    const row = g.mul(share.weight, up.get('bias', [width])); // [B, 1, D]
    bias = bias ? g.add(bias, row) : row;
  }
  const wide = g.reshape(sum, [batch, tokens, width]);
  const rest = options.skip ? g.add(g.mul(h, skipFactor(shares, options)), bias!) : bias!;
  return g.add(wide, rest);
}

/** The sum of the weights: known beforehand when both adapters are present. */
function skipFactor(shares: readonly AdapterShare[], options: DualRealOptions): Value | number {
  return shares.length === 2 ? options.weightTotal : shares[0].weight;
}

/** GELU(Down(h, condition)) or, with GELU outside, Down alone: [B, T, D] → [B, T, bottleneck]. */
function hiddenFeatures({ scope, condition }: AdapterShare, h: Value, options: DualRealOptions): Value {
  const width = h.shape[2];
  const down = scope.at('down_linear');
  const weight = down.get('weight', [options.bottleneck, width]);
  const bias = down.get('bias', [options.bottleneck]);
  const hidden = () => {
    if (!condition) return g.linear(h, weight, bias);
    const mapped = linear(scope.at('condition_linear'), condition, width); // [B, 1, D]
    if (options.conditionForm === 'multiply') return g.linear(g.mul(h, mapped), weight, bias);
    // Down(h + c) = Down(h) + Down(c): the condition costs one row per sample instead of one per token.
    return g.add(g.linear(h, weight), g.linear(mapped, weight, bias));
  };
  const features = hidden();
  return options.geluPlacement === 'between' ? g.gelu(features) : features;
}
