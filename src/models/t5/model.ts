import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import { linear, mergeHeads, splitHeads } from '../../nn/layers.ts';
import type { ParameterScope } from '../../nn/parameters.ts';
import type { Probe } from '../probe.ts';
import { paddingBias } from '../text-tower.ts';
import type { T5Config } from './config.ts';
import { positionBuckets } from './position-buckets.ts';

export interface T5Inputs {
  /** Token ids, i64 [B, S]. */
  readonly ids: Value;
  /**
   * 1 where a token counts and 0 for padding, f32 [B, S]. Absent: every position takes part, which is how
   * CogVideoX calls its text encoder (padding included).
   */
  readonly mask?: Value;
}

export interface T5Options {
  readonly probe?: Probe;
  /** Recompute each block in the backward pass instead of keeping its activations. */
  readonly checkpointBlocks?: boolean;
}

/**
 * T5 1.1 encoder: ids [B, S] → hidden states [B, S, D] after the final norm (transformers T5EncoderModel:
 * RMS norms before each part, no biases, scores not divided by √d, position bias of block 0 for all).
 */
export function t5Encoder(
  config: T5Config,
  scope: ParameterScope,
  { ids, mask }: T5Inputs,
  { probe, checkpointBlocks = false }: T5Options = {},
): Value {
  const { width, vocabulary, normEpsilon } = config;
  const encoder = scope.at('encoder');
  const tokens = ids.shape[1];
  const positionBias = relativePositionBias(config, encoder, tokens);
  probe?.('position_bias', positionBias);
  const bias = mask ? g.add(positionBias, paddingBias(mask)) : positionBias; // [1|B, H, S, S]

  let x = g.gather(scope.at('shared').get('weight', [vocabulary, width]), ids); // [B, S, D]
  for (let block = 0; block < config.blocks; block++) {
    probe?.(`hidden_states.${block}`, x);
    const input = x;
    const run = () => t5Block(config, encoder.at('block', block), input, bias);
    x = checkpointBlocks ? g.checkpoint(run) : run();
  }
  const out = g.rmsNorm(x, encoder.at('final_layer_norm').get('weight', [width]), normEpsilon);
  probe?.(`hidden_states.${config.blocks}`, out);
  return out;
}

/** Learned bias of each head for each bucketed distance: [1, H, S, S]. */
function relativePositionBias(config: T5Config, encoder: ParameterScope, tokens: number): Value {
  const table = encoder
    .at('block', 0, 'layer', 0, 'SelfAttention', 'relative_attention_bias')
    .get('weight', [config.positionBuckets, config.heads]);
  const perPair = g.gather(table, g.constant(positionBuckets(tokens, config))); // [S, S, H]
  return g.reshape(g.transpose(perPair, [2, 0, 1]), [1, config.heads, tokens, tokens]);
}

function t5Block(config: T5Config, scope: ParameterScope, x: Value, bias: Value): Value {
  const { width, heads, headDim, feedForwardWidth, normEpsilon } = config;
  const norm = (layer: ParameterScope, value: Value) =>
    g.rmsNorm(value, layer.at('layer_norm').get('weight', [width]), normEpsilon);
  const plain = { bias: false };

  const attention = scope.at('layer', 0);
  const normed = norm(attention, x);
  const self = attention.at('SelfAttention');
  const [q, k, v] = ['q', 'k', 'v'].map((name) =>
    splitHeads(linear(self.at(name), normed, heads * headDim, plain), heads),
  ); // [B, H, S, d]
  const mixed = mergeHeads(attend(q, k, v, bias));
  const attended = g.add(x, linear(self.at('o'), mixed, width, plain));

  const feedForward = scope.at('layer', 1);
  const dense = feedForward.at('DenseReluDense');
  const inner = norm(feedForward, attended);
  const gate = g.geluTanh(linear(dense.at('wi_0'), inner, feedForwardWidth, plain));
  const gated = g.mul(gate, linear(dense.at('wi_1'), inner, feedForwardWidth, plain));
  return g.add(attended, linear(dense.at('wo'), gated, width, plain));
}

/** Keys that are summed at a time. */
const PIECE = 32;

/**
 * softmax(q·kᵀ + bias)·v. Captions are mostly padding, whose values are nearly equal: adding two hundred of
 * them one by one in f32 loses a decimal (1.9e-5 against 4e-6 from the f64 result in the reference model of
 * 226 tokens), so that longer sums are taken in pieces.
 */
function attend(q: Value, k: Value, v: Value, bias: Value): Value {
  const keys = k.shape[2];
  if (keys <= PIECE) return g.attention(q, k, v, { scale: 1, bias });
  const weights = g.softmax(g.add(g.matmul(q, k, { transposeB: true }), bias)); // [B, H, S, S]
  const starts = Array.from({ length: Math.ceil(keys / PIECE) }, (_, i) => i * PIECE);
  return starts
    .map((start) => {
      const end = Math.min(start + PIECE, keys);
      return g.matmul(g.slice(weights, 3, start, end), g.slice(v, 2, start, end));
    })
    .reduce((sum, part) => g.add(sum, part));
}
