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
  /** cos and sin [S + N, d/2]; absent in the sine-cosine style. */
  readonly rotary: { readonly cos: Value; readonly sin: Value } | undefined;
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
  const middle = g.add(x, gated(attention, first.gate, factors));

  const second = adaptiveNorm(scope.at('norm2'), middle, context);
  const transformed = feedForward(scope.at('ff'), second.normalized, context.config);
  const forward = hooks.afterFeedForward?.(site, transformed, second.normalized) ?? transformed;
  const through = g.add(middle, gated(forward, second.gate, factors));
  const out = hooks.afterBlock?.(site, through, x) ?? through;
  probeStreams(`block.${site.block}`, out, site, probe);
  return out;
}

interface AdaptiveNorm {
  readonly normalized: Value;
  /** [B, T/g, 1, D]. */
  readonly gate: Value;
  readonly gateRows: { readonly text: Value; readonly video: Value };
}

/**
 * LayerNorm with shift, scale and gate from the time embedding, separate for the two streams (diffusers
 * CogVideoXLayerNormZero). Gain and shift of the norm are folded into the factors, which are tiny, so
 * that only one multiplication and one addition touch the tokens.
 */
function adaptiveNorm(
  scope: ParameterScope,
  x: Value,
  { config, factors, activatedTime }: BlockContext,
): AdaptiveNorm {
  const { width, normEpsilon } = config;
  const modulation = linear(scope.at('linear'), activatedTime, 6 * width); // [B, 6D]
  const [shift, scale, gate, textShift, textScale, textGate] = g.chunk(modulation, 1, 6);
  const gain = scope.at('norm').get('weight', [width]);
  const bias = scope.at('norm').get('bias', [width]);
  const fold = (s: Value, b: Value): [Value, Value] => {
    const factor = g.add(s, 1);
    return [g.mul(factor, gain), g.add(g.mul(factor, bias), b)];
  };
  const [videoFactor, videoOffset] = fold(scale, shift);
  const [textFactor, textOffset] = fold(textScale, textShift);
  const grouped = factors.group(g.normalize(x, normEpsilon));
  const scaled = g.mul(grouped, factors.spread(textFactor, videoFactor));
  const normalized = factors.ungroup(g.add(scaled, factors.spread(textOffset, videoOffset)));
  return { normalized, gate: factors.spread(textGate, gate), gateRows: { text: textGate, video: gate } };
}

function gated(x: Value, gate: Value, factors: StreamFactors): Value {
  return factors.ungroup(g.mul(factors.group(x), gate));
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
    return splitHeads(rotary ? g.rotary(flat, rotary.cos, rotary.sin) : flat, heads); // [B, H, T, d]
  };
  const q = normalizeHeads('norm_q', project('to_q', x, attentionBias));
  const k = normalizeHeads('norm_k', project('to_k', x, attentionBias));
  const v = splitHeads(project('to_v', x, attentionBias), heads);
  return project('to_out.0', mergeHeads(g.attention(q, k, v)), true);
}

/** Linear, tanh GELU, Linear at four times the width. */
function feedForward(scope: ParameterScope, x: Value, { width }: TransformerConfig): Value {
  const hidden = g.geluTanh(linear(scope.at('net', 0, 'proj'), x, 4 * width));
  return linear(scope.at('net', 2), hidden, width);
}

function probeNorm({ normalized, gateRows }: AdaptiveNorm, site: BlockSite, { probe }: BlockContext): void {
  if (!probe) return;
  probeStreams('block.0.norm1', normalized, site, probe);
  const [batch, width] = gateRows.video.shape;
  probe('block.0.norm1.gate', g.reshape(gateRows.video, [batch, 1, width]));
  probe('block.0.norm1.enc_gate', g.reshape(gateRows.text, [batch, 1, width]));
}

function probeStreams(name: string, x: Value, { textTokens }: BlockSite, probe: Probe | undefined): void {
  if (!probe) return;
  probe(`${name}.encoder_hidden_states`, g.slice(x, 1, 0, textTokens));
  probe(`${name}.hidden_states`, g.slice(x, 1, textTokens, x.shape[1]));
}
