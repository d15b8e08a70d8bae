import { describe, expect, it } from 'vitest';
import { floats } from '../../tensor/host-tensor.ts';
import { UnsupportedConfigError } from '../config.ts';
import { parseT5Config, positionBucket, positionBuckets, t5ConfigJson, untieT5Weights } from './index.ts';

// text_encoder/config.json of the published CogVideoX checkpoints.
const PUBLISHED = {
  _name_or_path: 't5-v1_1-xxl',
  architectures: ['T5EncoderModel'],
  classifier_dropout: 0.0,
  d_ff: 10240,
  d_kv: 64,
  d_model: 4096,
  decoder_start_token_id: 0,
  dense_act_fn: 'gelu_new',
  dropout_rate: 0.1,
  eos_token_id: 1,
  feed_forward_proj: 'gated-gelu',
  initializer_factor: 1.0,
  is_encoder_decoder: true,
  is_gated_act: true,
  layer_norm_epsilon: 1e-6,
  model_type: 't5',
  num_decoder_layers: 24,
  num_heads: 64,
  num_layers: 24,
  output_past: true,
  pad_token_id: 0,
  relative_attention_max_distance: 128,
  relative_attention_num_buckets: 32,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  transformers_version: '4.41.2',
  use_cache: true,
  vocab_size: 32128,
};

describe('parseT5Config', () => {
  it('reads the published config, and its own JSON again', () => {
    const config = parseT5Config(PUBLISHED);
    expect(config).toEqual({
      vocabulary: 32128,
      width: 4096,
      heads: 64,
      headDim: 64,
      feedForwardWidth: 10240,
      blocks: 24,
      positionBuckets: 32,
      maxDistance: 128,
      normEpsilon: 1e-6,
    });
    expect(parseT5Config(t5ConfigJson(config))).toEqual(config);
  });

  it.each([
    ['feed_forward_proj', 'relu'],
    ['feed_forward_proj', undefined],
    ['dense_act_fn', 'relu'],
    ['model_type', 'umt5'],
    ['num_heads', 0],
    ['relative_attention_num_buckets', 30],
    ['is_decoder', true],
    ['pruned_heads', { '0': [1] }],
    ['sparse_step', 2],
  ])('names field %s with value %s', (field, value) => {
    const parse = () => parseT5Config({ ...PUBLISHED, [field]: value }, 'here/config.json');
    expect(parse).toThrow(UnsupportedConfigError);
    expect(parse).toThrow(`here/config.json, field ${field}`);
  });

  it('refuses what is no object', () => {
    expect(() => parseT5Config('t5')).toThrow(UnsupportedConfigError);
    expect(() => parseT5Config(null)).toThrow(UnsupportedConfigError);
  });
});

describe('positionBucket', () => {
  const config = { positionBuckets: 32, maxDistance: 128 };

  it('gives single distances their own bucket and the far ones a shared one', () => {
    expect([0, -1, -7, 1, 7].map((at) => positionBucket(at, config))).toEqual([0, 1, 7, 17, 23]);
    expect([-8, -127, -128, -5000, 5000].map((at) => positionBucket(at, config))).toEqual([
      8, 15, 15, 15, 31,
    ]);
  });

  it('never falls as the distance grows', () => {
    for (const direction of [-1, 1]) {
      const buckets = Array.from({ length: 300 }, (_, i) => positionBucket(direction * (i + 1), config));
      expect([...buckets].sort((a, b) => a - b)).toEqual(buckets);
    }
  });

  it('counts from the query to the key', () => {
    expect(Array.from(positionBuckets(2, config).data, Number)).toEqual([0, 17, 1, 0]);
  });
});

describe('untieT5Weights', () => {
  const table = floats([2, 1], [1, 2]);

  it('knows the embedding under either name', () => {
    const names = (entries: [string, typeof table][]) => [...untieT5Weights(new Map(entries)).keys()].sort();
    expect(names([['shared.weight', table]])).toEqual(['shared.weight']);
    const other: [string, typeof table][] = [
      ['encoder.embed_tokens.weight', table],
      ['x', table],
    ];
    expect(names(other)).toEqual(['shared.weight', 'x']);
    expect(names([...other, ['shared.weight', table]])).toEqual(['shared.weight', 'x']);
  });

  it('refuses copies that differ', () => {
    const copies = new Map([
      ['shared.weight', table],
      ['encoder.embed_tokens.weight', floats([2, 1], [1, 3])],
    ]);
    expect(() => untieT5Weights(copies)).toThrow('one embedding table under two names');
  });
});
