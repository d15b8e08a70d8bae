import { afterAll, describe, expect, it } from 'vitest';
import * as g from '../graph/index.ts';
import { Parameters } from '../nn/parameters.ts';
import { createRuntime, WeightsMismatchError } from '../runtime/index.ts';
import { ShapeError } from '../tensor/errors.ts';
import { floats, type HostTensor, integers } from '../tensor/host-tensor.ts';
import { randomStream } from '../tensor/random.ts';
import { sizeOf } from '../tensor/shape.ts';
import { BatchedProgram } from './batched-program.ts';
import { UnsupportedConfigError } from './config.ts';
import { createContrastiveTextEncoder } from './contrastive-text-encoder.ts';
import { encoderFamily } from './encoder-family.ts';
import { createImageEncoder } from './image-encoder.ts';
import { parseT5Config, t5Encoder } from './t5/index.ts';
import { createTextEncoder } from './text-encoder.ts';
import type { TextTokenizer } from './tokenizer/index.ts';

const runtime = createRuntime({ inline: true, threads: 1 });
afterAll(() => runtime.close());

const fields = { hidden_size: 12, intermediate_size: 20, num_hidden_layers: 1, num_attention_heads: 3 };
const CLIP = {
  model_type: 'clip',
  projection_dim: 6,
  text_config: { ...fields, vocab_size: 9, max_position_embeddings: 5 },
  vision_config: { ...fields, image_size: 8, patch_size: 4 },
};
const DINO = { arch: 'vit_tiny', img_size: 8, patch_size: 4, embed_dim: 12, depth: 1 };

/** Random weights for what a model declares. */
function weightsOf(trace: (parameters: Parameters) => void): Map<string, HostTensor> {
  const parameters = new Parameters();
  trace(parameters);
  const random = randomStream(1, 'encoders');
  return new Map(
    [...parameters.declared].map(([name, { shape }]) => [
      name,
      floats(
        shape,
        random.normals(sizeOf(shape)).map((x) => x / 3),
      ),
    ]),
  );
}

const clip = encoderFamily(CLIP);
const clipWeights = weightsOf(({ root }) => {
  clip.imageFeatures(root, g.input('pixels', [1, 3, 8, 8]));
  clip.text!.features(root, g.input('ids', [1, 5], 'i64'));
});
const pixels = floats([5, 3, 8, 8], randomStream(1, 'pixels').normals(960));

/** Each letter is an id; 8 ends a text and fills it up. */
const letters: TextTokenizer = {
  padId: 8,
  idLimit: 9,
  count: (text) => text.length + 1,
  words: (text) => [...text].map(Number),
  encode: (text, tokens) => {
    const ids = [...text].map(Number).slice(0, tokens - 1);
    const row = [...ids, ...new Array<number>(tokens - ids.length).fill(8)];
    return { ids: integers([1, tokens], row), usedTokens: ids.length + 1, cut: undefined };
  },
};

describe('image encoder', () => {
  it('gives each image the same embedding in any batch', async () => {
    const encoder = createImageEncoder(runtime, { config: CLIP, weights: clipWeights, maxBatch: 2 });
    expect(encoder).toMatchObject({ family: 'clip', embeddingDim: 6, imageSide: 8 });
    const all = await encoder.encode(pixels);
    expect(all.shape).toEqual([5, 6]);
    for (let i = 0; i < 5; i++) {
      const one = await encoder.encode(floats([1, 3, 8, 8], pixels.data.subarray(i * 192, (i + 1) * 192)));
      one.data.forEach((value, k) => {
        expect(value).toBeCloseTo(all.data[i * 6 + k], 5);
      });
    }
    await encoder.release();
  });

  it('refuses other sizes, but for DINO', async () => {
    const encoder = createImageEncoder(runtime, { config: CLIP, weights: clipWeights });
    await expect(encoder.encode(floats([1, 3, 8, 12], new Float32Array(288)))).rejects.toThrow(ShapeError);
    await expect(encoder.encode(floats([0, 3, 8, 8], []))).rejects.toThrow('[B, 3, 8, 8]');
    const dino = encoderFamily(DINO);
    const weights = weightsOf(({ root }) => dino.imageFeatures(root, g.input('pixels', [1, 3, 8, 8])));
    const other = createImageEncoder(runtime, { config: DINO, weights });
    expect((await other.encode(floats([1, 3, 8, 12], new Float32Array(288)))).shape).toEqual([1, 12]);
    expect(other.preprocessing.mean[0]).toBe(0.485);
  });

  it('wants exactly the tensors of the model', () => {
    const without = (pattern: RegExp) => new Map([...clipWeights].filter(([name]) => !pattern.test(name)));
    const create = (weights: Map<string, HostTensor>) =>
      createImageEncoder(runtime, { config: CLIP, weights, where: 'here' });
    expect(() => create(without(/^text/))).not.toThrow();
    expect(() => create(without(/pre_layrnorm/))).toThrow(WeightsMismatchError);
    expect(() => create(without(/pre_layrnorm/))).toThrow(/here.*missing: vision_model.pre_layrnorm.weight/s);
    const surplus = new Map([...clipWeights, ['vision_model.extra', floats([1], [0])] as const]);
    expect(() => create(surplus)).toThrow('not part of the model: vision_model.extra');
  });

  it('names the fields that tell families apart', () => {
    for (const config of [{}, null, 'clip', { hidden_size: 3 }]) {
      expect(() => encoderFamily(config, 'here')).toThrow(UnsupportedConfigError);
      expect(() => encoderFamily(config, 'here')).toThrow('here, fields model_type, vision_cfg, arch, guie');
    }
    expect(() => encoderFamily({ model_type: 'siglip' })).toThrow('field model_type');
  });
});

describe('text encoders', () => {
  it('give contrastive embeddings of several texts', async () => {
    const source = { config: CLIP, weights: clipWeights, tokenizer: letters, maxBatch: 2 };
    const encoder = createContrastiveTextEncoder(runtime, source);
    const { embeddings, tokenized } = await encoder.encode(['12', '3456', '7']);
    expect(embeddings.shape).toEqual([3, 6]);
    expect(tokenized.map((text) => text.usedTokens)).toEqual([3, 5, 2]);
    const again = await encoder.encode(['3456']);
    again.embeddings.data.forEach((value, i) => {
      expect(value).toBeCloseTo(embeddings.data[6 + i], 5);
    });
    await encoder.release();
    expect(() => createContrastiveTextEncoder(runtime, { ...source, config: DINO })).toThrow('a text tower');
    const tooMany = { ...source, tokenizer: { ...letters, idLimit: 10 } };
    expect(() => createContrastiveTextEncoder(runtime, tooMany)).toThrow('ids up to 9');
  });

  it('give T5 captions of fixed length', async () => {
    const config = {
      d_model: 12,
      d_kv: 4,
      d_ff: 8,
      num_layers: 1,
      num_heads: 3,
      vocab_size: 9,
      feed_forward_proj: 'gated-gelu',
    };
    const weights = weightsOf(({ root }) =>
      t5Encoder(parseT5Config(config), root, { ids: g.input('ids', [1, 6], 'i64') }),
    );
    const source = { config, weights, tokenizer: letters, tokens: 6 };
    const encoder = createTextEncoder(runtime, source);
    const { embedding, tokenized } = await encoder.encode('123');
    expect(embedding.shape).toEqual([1, 6, 12]);
    expect(tokenized.usedTokens).toBe(4);
    await encoder.release();
    expect(() => createTextEncoder(runtime, { ...source, config: { ...config, d_ff: 9 } })).toThrow(
      'wi_0.weight (expected [9, 12], file has [8, 12])',
    );
  });
});

it('concurrent calls of different shapes wait for one another', async () => {
  const compiled: string[] = [];
  const program = new BatchedProgram(
    runtime,
    ({ x }) => {
      compiled.push(x.join('×'));
      return g.program('twice', { y: g.mul(g.input('x', x), 2) });
    },
    { weights: new Map(), maxBatch: 4 },
  );
  const rows = (count: number) =>
    program.run({
      x: floats(
        [count, 1],
        Float32Array.from({ length: count }, (_, i) => i),
      ),
    });
  const results = await Promise.all([rows(1), rows(2), rows(3), rows(6), rows(3)]);
  expect(results.map((result) => [...result.data])).toEqual([
    [0],
    [0, 2],
    [0, 2, 4],
    [0, 2, 4, 6, 8, 10],
    [0, 2, 4],
  ]);
  expect(compiled).toEqual(['1×1', '2×1', '3×1', '4×1']);
  await program.release();
});
