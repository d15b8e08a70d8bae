import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import { layerNorm, linear } from '../../nn/layers.ts';
import type { ParameterScope } from '../../nn/parameters.ts';
import { packedSelfAttention } from '../packed-attention.ts';
import { patchEmbedding, prependToken } from '../patches.ts';
import type { Probe } from '../probe.ts';
import type { DinoConfig } from './config.ts';
import { positionResize } from './position-resize.ts';

/**
 * DINO's vision transformer: normalised pixels [B, 3, H, W] of any size → CLS embedding [B, D]
 * (facebookresearch/dino `VisionTransformer.forward`, no head).
 */
export function dinoFeatures(config: DinoConfig, scope: ParameterScope, pixels: Value, probe?: Probe): Value {
  const { width, heads, patch, feedForwardWidth, normEpsilon } = config;
  const patches = patchEmbedding(scope.at('patch_embed', 'proj'), pixels, patch, width, { bias: true });
  const tokens = prependToken(scope.get('cls_token', [1, 1, width]), patches); // [B, 1 + N, D]
  const positions = positionTable(config, scope, pixels);
  probe?.('pos', positions);
  let x = g.add(tokens, positions);
  probe?.('tokens', x);
  for (let block = 0; block < config.blocks; block++) {
    const at = scope.at('blocks', block);
    const qkv = at.at('attn', 'qkv');
    const packed = {
      weight: qkv.get('weight', [3 * width, width]),
      bias: config.qkvBias ? qkv.get('bias', [3 * width]) : undefined,
    };
    const mixed = packedSelfAttention(layerNorm(at.at('norm1'), x, normEpsilon), packed, heads);
    x = g.add(x, linear(at.at('attn', 'proj'), mixed, width));
    const inner = linear(at.at('mlp', 'fc1'), layerNorm(at.at('norm2'), x, normEpsilon), feedForwardWidth);
    x = g.add(x, linear(at.at('mlp', 'fc2'), g.gelu(inner), width));
  }
  const normed = layerNorm(scope.at('norm'), x, normEpsilon);
  probe?.('last_layer_normed', normed);
  return g.reshape(g.slice(normed, 1, 0, 1), [-1, width]);
}

/** Position table for the size of `pixels`: [1, 1 + N, D]. */
function positionTable({ imageSide, patch, width }: DinoConfig, scope: ParameterScope, pixels: Value): Value {
  const side = Math.floor(imageSide / patch);
  const trained = scope.get('pos_embed', [1, 1 + side * side, width]);
  const [rows, columns] = pixels.shape.slice(2).map((extent) => Math.floor(extent / patch));
  // As upstream, which compares the count of patches and that the image is square.
  if (rows * columns === side * side && pixels.shape[2] === pixels.shape[3]) return trained;
  const flat = g.reshape(trained, [1 + side * side, width]);
  const grid = g.slice(flat, 0, 1, 1 + side * side);
  const resized = g.gemm(g.constant(positionResize(side, { rows, columns })), grid); // [N, D]
  return g.reshape(g.concat([g.slice(flat, 0, 0, 1), resized], 0), [1, 1 + rows * columns, width]);
}
