import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import type { BlockSite, Probe, TransformerHooks } from '../../models/cogvideox/transformer/index.ts';
import type { ParameterScope } from '../../nn/parameters.ts';
import { DualrealError } from '../../tensor/errors.ts';
import { floats } from '../../tensor/host-tensor.ts';
import { type AdapterShare, adapterOutput, addAdapters } from './adapter.ts';
import { stageBlender } from './controller.ts';
import { addFusedAdapters } from './fused.ts';
import { fusedName } from './layout.ts';
import { type AdapterSite, adapterName, type Dimension } from './names.ts';
import { type DualRealOptions, requireGroups } from './options.ts';

export interface InjectionRequest {
  readonly options: DualRealOptions;
  /** Transformer blocks L. */
  readonly blocks: number;
  readonly batch: number;
  /** Root of the transformer's parameter tree: adapters live inside it under the release's names. */
  readonly scope: ParameterScope;
  /** Image embedding [B, 1, E] or [1, 1, E]; absent in the identity phase. */
  readonly condition?: Value | undefined;
  /** Which adapters run; default both. */
  readonly dimensions?: readonly Dimension[];
  /** Replaces the controller's shares with given ones [B, n] (the slider, recorded weights). */
  readonly shares?: Value;
  /** 'fused': both adapters of a site in one, as folded files hold them; without condition. */
  readonly form?: 'separate' | 'fused';
  readonly probe?: Probe;
}

export interface Injection {
  readonly hooks: TransformerHooks;
  /** The identity weights per group [B, n], known once the model has been traced. */
  identityWeights(): Value;
}

/** Hooks that add the identity and the motion adapters, blended by the controller, to every block. */
export function injectDualReal(request: InjectionRequest): Injection {
  const { options, blocks, batch, scope, probe, dimensions = ['identity', 'motion'] } = request;
  requireGroups(options.groups, blocks);
  requireForm(request);
  const groups = Math.max(1, options.groups);
  let weights: Record<Dimension, readonly Value[]> | undefined;
  let identity: Value | undefined;

  const setWeights = (shares: Value) => {
    const complement = g.sub(options.weightTotal, shares);
    const motion = options.weightScales === 'motion' ? shares : complement;
    identity = options.weightScales === 'identity' ? shares : complement;
    weights = { identity: columns(identity, groups), motion: columns(motion, groups) };
    probe?.('controller.alpha', identity);
  };

  const sharesAt = (block: number, site: AdapterSite): AdapterShare[] =>
    dimensions.map((dimension) => ({
      scope: scope.at('transformer_blocks', block, adapterName(dimension, site)),
      weight: weights![dimension][Math.floor(block / (blocks / groups))],
      condition: dimension === 'motion' ? request.condition : undefined,
    }));

  const blend = (site: AdapterSite) => (at: BlockSite, output: Value, normalized: Value) => {
    if (request.form === 'fused') {
      const group = Math.floor(at.block / (blocks / groups));
      const { identity, motion } = weights!;
      const pair = { identity: identity[group], motion: motion[group] };
      const path = scope.at('transformer_blocks', at.block, fusedName(site));
      return addFusedAdapters(path, pair, output, normalized, options);
    }
    const shares = sharesAt(at.block, site);
    if (at.block === 0 && probe) probeAdapters(shares, dimensions, site, at, normalized, options, probe);
    return addAdapters(output, normalized, shares, options);
  };

  const beforeBlocks = (tokens: Value, timeEmbedding: Value) => {
    if (request.shares) setWeights(request.shares);
    else if (options.groups === 0) {
      const half = new Float32Array(batch).fill(options.weightTotal / 2);
      setWeights(g.constant(floats([batch, 1], half)));
    } else setWeights(stageBlender(scope.at('controller'), tokens, timeEmbedding, options));
  };

  return {
    hooks:
      options.placement === 'sites'
        ? { beforeBlocks, afterAttention: blend('attn'), afterFeedForward: blend('ff') }
        : { beforeBlocks, afterBlock: blend('attn') },
    identityWeights: () => identity!,
  };
}

function requireForm({ form, condition, dimensions }: InjectionRequest): void {
  if (form !== 'fused' || (!condition && !dimensions)) return;
  throw new DualrealError({
    where: 'fused adapters',
    expected: 'no condition (it is folded into them) and both adapters at work',
    got: condition ? 'a condition' : `only ${dimensions!.join(', ')}`,
    hint: 'use the adapter file from before folding',
  });
}

/** [B, n] → n values [B, 1, 1]. */
function columns(weights: Value, groups: number): Value[] {
  return Array.from({ length: groups }, (_, group) =>
    g.reshape(g.slice(weights, 1, group, group + 1), [-1, 1, 1]),
  );
}

function probeAdapters(
  shares: readonly AdapterShare[],
  dimensions: readonly Dimension[],
  site: AdapterSite,
  { textTokens }: BlockSite,
  h: Value,
  options: DualRealOptions,
  probe: Probe,
): void {
  for (const [i, share] of shares.entries()) {
    const name = `block.0.${adapterName(dimensions[i], site)}`;
    const output = adapterOutput(share, h, options);
    if (site === 'ff') probe(name, output);
    else {
      probe(`${name}.encoder_hidden_states`, g.slice(output, 1, 0, textTokens));
      probe(`${name}.hidden_states`, g.slice(output, 1, textTokens, h.shape[1]));
    }
  }
}
