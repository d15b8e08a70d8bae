import { z } from 'zod';
import { parseModelConfig } from '../config.ts';
import { positiveInteger, transformersFields } from '../transformers-config.ts';

const schema = z.strictObject({
  ...transformersFields,
  model_type: z.literal('t5').optional(),
  vocab_size: positiveInteger.default(32128),
  d_model: positiveInteger.default(512),
  d_kv: positiveInteger.default(64),
  d_ff: positiveInteger.default(2048),
  num_layers: positiveInteger.default(6),
  num_heads: positiveInteger.default(8),
  relative_attention_num_buckets: z.int().min(4).multipleOf(4).default(32),
  relative_attention_max_distance: positiveInteger.default(128),
  layer_norm_epsilon: z.number().positive().default(1e-6),
  // Upstream's default is 'relu' (T5 1.0), so an absent field is not the form implemented here.
  feed_forward_proj: z.literal('gated-gelu'),
  dense_act_fn: z.literal('gelu_new').optional(),
  is_gated_act: z.literal(true).optional(),
});

/** A T5 1.1 encoder, in this project's names (transformers T5EncoderModel). */
export interface T5Config {
  readonly vocabulary: number;
  /** D. */
  readonly width: number;
  readonly heads: number;
  /** heads · headDim need not be the width. */
  readonly headDim: number;
  readonly feedForwardWidth: number;
  readonly blocks: number;
  readonly positionBuckets: number;
  readonly maxDistance: number;
  readonly normEpsilon: number;
}

/** Reads a text encoder's config.json; unknown fields and unsupported values are errors that name them. */
export function parseT5Config(json: unknown, where = 'text_encoder/config.json'): T5Config {
  const c = parseModelConfig(schema, json, where, 'a T5 1.1 encoder (gated GELU feed-forward)');
  return {
    vocabulary: c.vocab_size,
    width: c.d_model,
    heads: c.num_heads,
    headDim: c.d_kv,
    feedForwardWidth: c.d_ff,
    blocks: c.num_layers,
    positionBuckets: c.relative_attention_num_buckets,
    maxDistance: c.relative_attention_max_distance,
    normEpsilon: c.layer_norm_epsilon,
  };
}

/** The inverse of {@link parseT5Config}: what text_encoder/config.json holds. */
export function t5ConfigJson(config: T5Config): Record<string, unknown> {
  return {
    architectures: ['T5EncoderModel'],
    model_type: 't5',
    vocab_size: config.vocabulary,
    d_model: config.width,
    d_kv: config.headDim,
    d_ff: config.feedForwardWidth,
    num_layers: config.blocks,
    num_heads: config.heads,
    relative_attention_num_buckets: config.positionBuckets,
    relative_attention_max_distance: config.maxDistance,
    layer_norm_epsilon: config.normEpsilon,
    feed_forward_proj: 'gated-gelu',
    dense_act_fn: 'gelu_new',
    is_gated_act: true,
    tie_word_embeddings: false,
    pad_token_id: 0,
    eos_token_id: 1,
    torch_dtype: 'float32',
  };
}
