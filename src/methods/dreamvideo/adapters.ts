import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import type { BlockSite, TransformerHooks } from '../../models/cogvideox/transformer/index.ts';
import type { ParameterScope } from '../../nn/parameters.ts';
import { floats } from '../../tensor/host-tensor.ts';
import { type AdapterForm, addAdapters } from '../dualreal/adapter.ts';
import { type AdapterSite, adapterName, type Dimension } from '../dualreal/names.ts';

export interface AdaptersRequest {
  readonly root: ParameterScope;
  readonly batch: number;
  readonly bottleneck: number;
  /** Which adapters run. */
  readonly dimensions: readonly Dimension[];
  /** Image embedding [B, 1, E] for the motion adapters. */
  readonly condition?: Value | undefined;
  /** Appearance strength of each sample. */
  readonly strengths?: readonly number[];
}

/** Where each kind sits: cross-attention and all temporal layers of the original, as far as they exist here. */
const SITES: Readonly<Record<Dimension, readonly AdapterSite[]>> = {
  identity: ['attn'],
  motion: ['attn', 'ff'],
};

/**
 * Bottleneck adapters parallel to attention and feed-forward, each with weight 1: output + Up(GELU(Down(h +
 * λ·C·y))) (VGen tools/modules/unet/util.py Adapter). The original's skip is the residual of its block,
 * which the transformer has of its own.
 */
export function injectAdapters(request: AdaptersRequest): TransformerHooks {
  const { root, batch, bottleneck, dimensions, condition, strengths } = request;
  const form: AdapterForm = {
    bottleneck,
    geluPlacement: 'between',
    skip: false,
    conditionForm: 'add',
    weightTotal: 1,
  };
  const perSample = (values: readonly number[]) => g.constant(floats([batch, 1, 1], values));
  const weight = perSample(new Array<number>(batch).fill(1));
  const conditionStrength = strengths && perSample(strengths);
  const adapt = (site: AdapterSite) => (at: BlockSite, output: Value, normalized: Value) => {
    const shares = dimensions
      .filter((dimension) => SITES[dimension].includes(site))
      .map((dimension) => ({
        scope: root.at('transformer_blocks', at.block, adapterName(dimension, site)),
        weight,
        condition: dimension === 'motion' ? condition : undefined,
        conditionStrength,
      }));
    return addAdapters(output, normalized, shares, form);
  };
  return { afterAttention: adapt('attn'), afterFeedForward: adapt('ff') };
}
