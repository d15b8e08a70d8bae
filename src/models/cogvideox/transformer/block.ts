import type { Value } from '../../../graph/index.ts';
import * as g from '../../../graph/index.ts';
import { linear, mergeHeads, splitHeads } from '../../../nn/layers.ts';
import type { ParameterScope } from '../../../nn/parameters.ts';
import type { TransformerConfig } from './config.ts';
import type { BlockSite, Probe, TransformerHooks } from './hooks.ts';
import type { StreamFactors } from './modulation.ts';

const QK_NORM_EPSILON = 1e-6;

/** What all blocks of one forward pass share. */
export interface BlockContext {
  readonly config: TransformerConfig;
  readonly factors: StreamFactors;
  /** silu(time embedding) [B, E]. */
  readonly activatedTime: Value;
  /** cos and sin of all places, and which place each token has, if not its own; absent in the sine-cosine style. */
  readonly rotary:
    | { readonly cos: Value; readonly sin: Value; readonly positions: Value | undefined }
    | undefined;
  readonly hooks: TransformerHooks;
  readonly probe: Probe | undefined;
}

/** One expert-adaLN block over joint tokens [B, S + N, D] (diffusers CogVideoXBlock). */
export function transformerBlock(
  scope: ParameterScope,
  x: Value,
  site: BlockSite,
  context: BlockContext,
): Value {
  const { factors, hooks, probe } = context;
  const first = adaptiveNorm(scope.at('norm1'), x, context);
  if (site.block === 0) probeNorm(first, site, context);
  const attended = selfAttention(scope.at('attn1'), first.normalized, site, context);
  const attention = hooks.afterAttention?.(site, attended, first.normalized) ?? attended;
  if (site.block === 0) probeStreams(`block.0.attn1`, attended, site, probe);
  const middle = g.add(x, factors.apply(attention, first.gate));

  const second = adaptiveNorm(scope.at('norm2'), middle, context);
  const transformed = feedForward(scope.at('ff'), second.normalized, context.config);
  const forward = hooks.afterFeedForward?.(site, transformed, second.normalized) ?? transformed;
  const through = g.add(middle, factors.apply(forward, second.gate));
  const out = hooks.afterBlock?.(site, through, x) ?? through;
  probeStreams(`block.${site.block}`, out, site, probe);
  return out;
}

interface AdaptiveNorm {
  readonly normalized: Value;
  /** Rows of {@link StreamFactors}, [B, R, 1, D]. */
  readonly gate: Value;
  /** Shift, scale and gate of video, then of text, [B, 6D]. */
  readonly modulation: Value;
}

/**
 * LayerNorm with shift, scale and gate from the time embedding, separate for the two streams (diffusers
 * CogVideoXLayerNormZero). Gain and shift of the norm are folded into the factors, which are small, so
 * that only one multiplication and one addition touch the tokens.
 */
function adaptiveNorm(
  scope: ParameterScope,
  x: Value,
  { config, factors, activatedTime }: BlockContext,
): AdaptiveNorm {
  const { width, normEpsilon } = config;
  const modulation = linear(scope.at('linear'), activatedTime, 6 * width); // [B, 6D]
  const [shift, scale, gate] = factors.spread(modulation, 3);
  const gain = scope.at('norm').get('weight', [width]);
  const bias = scope.at('norm').get('bias', [width]);
  const factor = g.add(scale, 1);
  const offset = g.add(g.mul(factor, bias), shift);
  const normalized = factors.apply(g.normalize(x, normEpsilon), g.mul(factor, gain), offset);
  return { normalized, gate, modulation };
}

/** Joint attention over text and video (diffusers CogVideoXAttnProcessor2_0). */
function selfAttention(scope: ParameterScope, x: Value, site: BlockSite, context: BlockContext): Value {
  const { config, rotary, hooks, probe } = context;
  const { heads, headDim, width, attentionBias } = config;
  const [batch, tokens] = x.shape;
  const project = (name: string, operand: Value, bias: boolean) => {
    const part = scope.at(...name.split('.'));
    const output = linear(part, operand, width, { bias });
    return hooks.afterProjection?.(part.path, output, operand) ?? output;
  };
  const normalizeHeads = (name: string, projected: Value) => {
    const byHead = g.reshape(projected, [batch, tokens, heads, headDim]);
    const norm = scope.at(name);
    const normalized = g.layerNorm(
      byHead,
      norm.get('weight', [headDim]),
      norm.get('bias', [headDim]),
      QK_NORM_EPSILON,
    );
    if (site.block === 0) probe?.(`block.0.attn1.${name}`, g.transpose(normalized, [0, 2, 1, 3]));
    const flat = g.reshape(normalized, [batch, tokens, width]);
    return splitHeads(rotary ? g.rotary(flat, rotary.cos, rotary.sin, rotary.positions) : flat, heads); // [B, H, T, d]
  };
  const q = normalizeHeads('norm_q', project('to_q', x, attentionBias));
  const k = normalizeHeads('norm_k', project('to_k', x, attentionBias));
  const v = splitHeads(project('to_v', x, attentionBias), heads);
  hooks.onAttention?.(site, q, k);
  return project('to_out.0', mergeHeads(g.attention(q, k, v)), true);
}

/** Linear, tanh GELU, Linear at four times the width. */
function feedForward(scope: ParameterScope, x: Value, { width }: TransformerConfig): Value {
  const hidden = g.geluTanh(linear(scope.at('net', 0, 'proj'), x, 4 * width));
  return linear(scope.at('net', 2), hidden, width);
}

function probeNorm({ normalized, modulation }: AdaptiveNorm, site: BlockSite, { probe }: BlockContext): void {
  if (!probe) return;
  probeStreams('block.0.norm1', normalized, site, probe);
  const [, , gate, , , textGate] = g.chunk(g.reshape(modulation, [modulation.shape[0], 1, -1]), 2, 6);
  probe('block.0.norm1.gate', gate);
  probe('block.0.norm1.enc_gate', textGate);
}

function probeStreams(name: string, x: Value, { textTokens }: BlockSite, probe: Probe | undefined): void {
  if (!probe) return;
  probe(`${name}.encoder_hidden_states`, g.slice(x, 1, 0, textTokens));
  probe(`${name}.hidden_states`, g.slice(x, 1, textTokens, x.shape[1]));
}
