import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import { layerNorm, linear, mergeHeads, splitHeads } from '../../nn/layers.ts';
import type { ParameterScope } from '../../nn/parameters.ts';
import { contrastiveLogits } from '../contrast.ts';
import { patchEmbedding, prependToken } from '../patches.ts';
import type { Probe } from '../probe.ts';
import { causalBias, paddingBias, poolAtHighestId } from '../text-tower.ts';
import type { ClipConfig, ClipTowerConfig } from './config.ts';

/**
 * CLIP's image tower with projection: pixels [B, 3, side, side] → image features [B, E], not normalised
 * (transformers CLIPModel.get_image_features).
 */
export function clipImageFeatures(
  { vision, embeddingDim }: ClipConfig,
  scope: ParameterScope,
  pixels: Value,
  probe?: Probe,
): Value {
  const { width, patch, normEpsilon } = vision;
  const tower = scope.at('vision_model');
  const embeddings = tower.at('embeddings');
  const patches = patchEmbedding(embeddings.at('patch_embedding'), pixels, patch, width, { bias: false });
  const tokens = prependToken(embeddings.get('class_embedding', [width]), patches); // [B, 1 + N, D]
  const positions = embeddings.at('position_embedding').get('weight', [tokens.shape[1], width]);
  // The misspelt name is that of the checkpoints.
  const x = layerNorm(tower.at('pre_layrnorm'), g.add(tokens, positions), normEpsilon);
  const states = clipBlocks(vision, tower.at('encoder', 'layers'), x, 'vision', undefined, probe);
  probe?.('vision.last_hidden_state', states);
  const first = g.reshape(g.slice(states, 1, 0, 1), [-1, width]); // [B, D]
  const pooled = layerNorm(tower.at('post_layernorm'), first, normEpsilon);
  probe?.('vision_pooler_output', pooled);
  return linear(scope.at('visual_projection'), pooled, embeddingDim, { bias: false });
}

export interface ClipTextInputs {
  /** i64 [B, S], S at most the config's. */
  readonly ids: Value;
  /** f32 [B, S], 0 where padding. Attention is causal, so it changes nothing up to the end token. */
  readonly mask?: Value;
}

/**
 * CLIP's text tower with projection: ids [B, S] → text features [B, E], not normalised
 * (transformers CLIPModel.get_text_features). The pooled token is the first one of the highest id.
 */
export function clipTextFeatures(
  { text, embeddingDim }: ClipConfig,
  scope: ParameterScope,
  { ids, mask }: ClipTextInputs,
  probe?: Probe,
): Value {
  const { width, vocabulary, normEpsilon } = text;
  const [, tokens] = ids.shape;
  const tower = scope.at('text_model');
  const embeddings = tower.at('embeddings');
  const words = g.gather(embeddings.at('token_embedding').get('weight', [vocabulary, width]), ids);
  const positions = embeddings.at('position_embedding').get('weight', [text.tokens, width]);
  const x = g.add(words, g.slice(positions, 0, 0, tokens)); // [B, S, D]
  const causal = causalBias(tokens);
  const bias = mask ? g.minimum(causal, paddingBias(mask)) : causal;
  const states = clipBlocks(text, tower.at('encoder', 'layers'), x, 'text', bias, probe);
  const normed = layerNorm(tower.at('final_layer_norm'), states, normEpsilon);
  probe?.('text.last_hidden_state', normed);
  const pooled = poolAtHighestId(normed, ids); // [B, D]
  probe?.('text_pooler_output', pooled);
  return linear(scope.at('text_projection'), pooled, embeddingDim, { bias: false });
}

/** Logits per image [Bi, Bt] of features as the towers give them. */
export function clipLogits(scope: ParameterScope, imageFeatures: Value, textFeatures: Value): Value {
  return contrastiveLogits(imageFeatures, textFeatures, scope.get('logit_scale', []));
}

function clipBlocks(
  config: ClipTowerConfig,
  scope: ParameterScope,
  tokens: Value,
  tower: 'vision' | 'text',
  bias: Value | undefined,
  probe: Probe | undefined,
): Value {
  let x = tokens;
  probe?.(`${tower}.hidden_states.0`, x);
  for (let block = 0; block < config.blocks; block++) {
    x = clipBlock(config, scope.at(block), x, bias);
    probe?.(`${tower}.hidden_states.${block + 1}`, x);
  }
  return x;
}

function clipBlock(
  { width, heads, feedForwardWidth, activation, normEpsilon }: ClipTowerConfig,
  scope: ParameterScope,
  x: Value,
  bias: Value | undefined,
): Value {
  const attention = scope.at('self_attn');
  const normed = layerNorm(scope.at('layer_norm1'), x, normEpsilon);
  const [q, k, v] = ['q_proj', 'k_proj', 'v_proj'].map((name) =>
    splitHeads(linear(attention.at(name), normed, width), heads),
  ); // [B, H, S, d]
  const mixed = mergeHeads(g.attention(q, k, v, bias ? { bias } : {}));
  const attended = g.add(x, linear(attention.at('out_proj'), mixed, width));

  const mlp = scope.at('mlp');
  const inner = linear(
    mlp.at('fc1'),
    layerNorm(scope.at('layer_norm2'), attended, normEpsilon),
    feedForwardWidth,
  );
  const activated = activation === 'gelu' ? g.gelu(inner) : g.quickGelu(inner);
  return g.add(attended, linear(mlp.at('fc2'), activated, width));
}
