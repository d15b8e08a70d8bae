import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import { layerNorm, linear } from '../../nn/layers.ts';
import type { ParameterScope } from '../../nn/parameters.ts';
import { contrastiveLogits } from '../contrast.ts';
import { packedSelfAttention } from '../packed-attention.ts';
import { patchEmbedding, prependToken } from '../patches.ts';
import type { Probe } from '../probe.ts';
import { causalBias, poolAtHighestId } from '../text-tower.ts';
import type { OpenClipConfig, OpenClipTowerConfig } from './config.ts';

const NORM_EPSILON = 1e-5;

/**
 * open_clip's image tower: pixels [B, 3, side, side] → image features [B, E], not normalised
 * (open_clip `CLIP.encode_image`). This is DualReal's motion condition.
 */
export function openClipImageFeatures(
  config: OpenClipConfig,
  scope: ParameterScope,
  pixels: Value,
  probe?: Probe,
): Value {
  const { width, patch } = config.vision;
  const tower = scope.at('visual');
  const patches = patchEmbedding(tower.at('conv1'), pixels, patch, width, { bias: false });
  return openClipVisionTower(config, tower, patches, probe);
}

/** The image tower after its patch embedding: patches [B, N, D] → image features [B, E]. */
export function openClipVisionTower(
  config: Pick<OpenClipConfig, 'vision' | 'embeddingDim' | 'quickGelu'>,
  tower: ParameterScope,
  patches: Value,
  probe?: Probe,
): Value {
  const { vision, embeddingDim } = config;
  const { width } = vision;
  const tokens = prependToken(tower.get('class_embedding', [width]), patches); // [B, 1 + N, D]
  const positions = tower.get('positional_embedding', [tokens.shape[1], width]);
  const x = layerNorm(tower.at('ln_pre'), g.add(tokens, positions), NORM_EPSILON);
  probe?.('ln_pre', x);
  const states = blocks(config, vision, tower.at('transformer'), x, undefined, probe);
  const first = g.reshape(g.slice(states, 1, 0, 1), [-1, width]); // [B, D]
  const pooled = layerNorm(tower.at('ln_post'), first, NORM_EPSILON);
  probe?.('ln_post', pooled);
  return g.gemm(pooled, tower.get('proj', [width, embeddingDim]));
}

/** open_clip's text tower: ids i64 [B, S] → text features [B, E], not normalised (`CLIP.encode_text`). */
export function openClipTextFeatures(
  config: OpenClipConfig,
  scope: ParameterScope,
  ids: Value,
  probe?: Probe,
): Value {
  const { text, embeddingDim } = config;
  const { width, vocabulary } = text;
  const [, tokens] = ids.shape;
  const words = g.gather(scope.at('token_embedding').get('weight', [vocabulary, width]), ids);
  const positions = scope.get('positional_embedding', [text.tokens, width]);
  const x = g.add(words, g.slice(positions, 0, 0, tokens)); // [B, S, D]
  const states = blocks(config, text, scope.at('transformer'), x, causalBias(tokens), probe);
  const normed = layerNorm(scope.at('ln_final'), states, NORM_EPSILON);
  return g.gemm(poolAtHighestId(normed, ids), scope.get('text_projection', [width, embeddingDim]));
}

/** Logits per image [Bi, Bt] of features as the towers give them. */
export function openClipLogits(scope: ParameterScope, imageFeatures: Value, textFeatures: Value): Value {
  return contrastiveLogits(imageFeatures, textFeatures, scope.get('logit_scale', []));
}

function blocks(
  { quickGelu }: Pick<OpenClipConfig, 'quickGelu'>,
  tower: OpenClipTowerConfig,
  scope: ParameterScope,
  tokens: Value,
  scoreBias: Value | undefined,
  probe: Probe | undefined,
): Value {
  const { width, heads, feedForwardWidth } = tower;
  let x = tokens;
  for (let block = 0; block < tower.blocks; block++) {
    const at = scope.at('resblocks', block);
    const attention = at.at('attn');
    const packed = {
      weight: attention.get('in_proj_weight', [3 * width, width]),
      bias: attention.get('in_proj_bias', [3 * width]),
    };
    const mixed = packedSelfAttention(layerNorm(at.at('ln_1'), x, NORM_EPSILON), packed, heads, scoreBias);
    x = g.add(x, linear(attention.at('out_proj'), mixed, width));
    const inner = linear(at.at('mlp', 'c_fc'), layerNorm(at.at('ln_2'), x, NORM_EPSILON), feedForwardWidth);
    x = g.add(x, linear(at.at('mlp', 'c_proj'), quickGelu ? g.quickGelu(inner) : g.gelu(inner), width));
    probe?.(`resblock.${block}`, x);
  }
  return x;
}
