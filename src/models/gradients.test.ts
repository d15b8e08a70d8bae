import { describe, expect, it } from 'vitest';
import type { Value } from '../graph/index.ts';
import * as g from '../graph/index.ts';
import { type ParameterScope, Parameters } from '../nn/parameters.ts';
import { createRuntime, type Tensors } from '../runtime/index.ts';
import { type FloatTensor, floats, type HostTensor, integers } from '../tensor/host-tensor.ts';
import { randomStream } from '../tensor/random.ts';
import { type Shape, sizeOf } from '../tensor/shape.ts';
import { clipImageFeatures, clipLogits, clipTextFeatures, parseClipConfig } from './clip/index.ts';
import { dinoFeatures, parseDinoConfig } from './dino/index.ts';
import {
  openClipImageFeatures,
  openClipLogits,
  openClipTextFeatures,
  parseOpenClipConfig,
} from './open-clip/index.ts';
import { parseT5Config, t5Encoder } from './t5/index.ts';

function gaussian(shape: Shape, scale: number, ...path: (string | number)[]): FloatTensor {
  const random = randomStream(3, 'gradients', ...path);
  return floats(
    shape,
    Float32Array.from({ length: sizeOf(shape) }, () => scale * random.normal()),
  );
}

/**
 * Compares the gradient of every parameter with the slope of the loss along a random direction, by central
 * differences. The loss weighs the model's outputs at random, so that no part of a gradient cancels.
 */
async function checkGradients(
  model: (scope: ParameterScope) => Value,
  inputs: Readonly<Record<string, HostTensor>>,
): Promise<string[]> {
  const parameters = new Parameters(() => true);
  const out = model(parameters.root);
  const loss = g.sum(g.mul(out, g.constant(gaussian(out.shape, 1, 'loss', 2))));
  const declared = [...parameters.declared];
  const gradients = g.gradients(
    loss,
    declared.map(([, { value }]) => value),
  );
  const outputs: Record<string, Value> = { loss };
  for (const [i, gradient] of gradients.entries()) {
    if (!gradient) expect.fail(`${declared[i][0]} has no gradient`);
    outputs[`d ${declared[i][0]}`] = gradient;
  }
  const runtime = createRuntime({ inline: true, threads: 1 });
  const executable = await runtime.compile(g.program('gradients', outputs));
  const feeds: Tensors = { ...inputs };
  for (const [name, { shape }] of declared) feeds[name] = gaussian(shape, 0.3, name);
  const results = await executable.run(feeds);
  const lossAt = async (name: string, tensor: FloatTensor) =>
    (await executable.run({ ...feeds, [name]: tensor })).loss.data[0] as number;

  for (const [name, { shape }] of declared) {
    const [value, gradient] = [feeds[name], results[`d ${name}`]].map(
      (tensor) => tensor.data as Float32Array,
    );
    const direction = gaussian(shape, 1, 'direction', name).data;
    const step = 4e-3;
    const moved = (sign: number) =>
      floats(
        shape,
        value.map((x, i) => x + sign * step * direction[i]),
      );
    const numeric = ((await lossAt(name, moved(1))) - (await lossAt(name, moved(-1)))) / (2 * step);
    const analytic = gradient.reduce((sum, slope, i) => sum + slope * direction[i], 0);
    const length = Math.hypot(...gradient);
    // Softmax does not see a shift of all scores of a query: exactly, the key bias has no gradient.
    if (!name.endsWith('k_proj.bias')) expect(length, name).toBeGreaterThan(1e-4);
    expect(Math.abs(numeric - analytic), `${name}: ${numeric} against ${analytic}`).toBeLessThan(
      0.01 * (Math.abs(analytic) + length) + 2e-3,
    );
  }
  await executable.release();
  return declared.map(([name]) => name);
}

const tower = { width: 12, heads: 3 };

describe('gradients reach every parameter', () => {
  const t5 = parseT5Config({
    d_model: 12,
    d_kv: 5,
    d_ff: 14,
    num_layers: 2,
    num_heads: 2,
    vocab_size: 9,
    relative_attention_num_buckets: 8,
    relative_attention_max_distance: 6,
    feed_forward_proj: 'gated-gelu',
  });
  const ids = integers([2, 7], [3, 8, 8, 1, 0, 0, 0, 5, 2, 4, 6, 7, 3, 1]);

  it.each([false, true])(
    'T5, embedding table included (checkpointed blocks: %s)',
    async (checkpointBlocks) => {
      const mask = floats([2, 7], [1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]);
      const names = await checkGradients(
        (scope) => {
          const inputs = { ids: g.input('ids', ids.shape, 'i64'), mask: g.input('mask', mask.shape) };
          return t5Encoder(t5, scope, inputs, { checkpointBlocks });
        },
        { ids, mask },
      );
      expect(names).toContain('shared.weight');
    },
  );

  it('T5 with more tokens than are summed at once', async () => {
    const many = integers(
      [1, 40],
      Array.from({ length: 40 }, (_, i) => (i * 5) % 9),
    );
    await checkGradients((scope) => t5Encoder(t5, scope, { ids: g.input('ids', [1, 40], 'i64') }), {
      ids: many,
    });
  });

  const pixels = gaussian([2, 3, 8, 8], 1, 'pixels');
  const words = integers([3, 5], [6, 1, 2, 7, 7, 6, 7, 7, 7, 7, 6, 3, 4, 5, 7]);

  it('CLIP, through the logits', async () => {
    const fields = { hidden_size: 12, intermediate_size: 20, num_hidden_layers: 2, num_attention_heads: 3 };
    const config = parseClipConfig({
      model_type: 'clip',
      projection_dim: 6,
      text_config: { ...fields, vocab_size: 8, max_position_embeddings: 5 },
      vision_config: { ...fields, image_size: 8, patch_size: 4, hidden_act: 'gelu' },
    });
    await checkGradients(
      (scope) => {
        const images = clipImageFeatures(config, scope, g.input('pixels', pixels.shape));
        const texts = clipTextFeatures(config, scope, { ids: g.input('ids', words.shape, 'i64') });
        return clipLogits(scope, images, texts);
      },
      { pixels, ids: words },
    );
  });

  it('open_clip, through the logits', async () => {
    const config = parseOpenClipConfig({
      embed_dim: 6,
      vision_cfg: { image_size: 8, patch_size: 4, width: 12, head_width: 4, layers: 2, mlp_ratio: 2 },
      text_cfg: { context_length: 5, vocab_size: 8, layers: 2, ...tower },
    });
    await checkGradients(
      (scope) => {
        const images = openClipImageFeatures(config, scope, g.input('pixels', pixels.shape));
        return openClipLogits(
          scope,
          images,
          openClipTextFeatures(config, scope, g.input('ids', words.shape, 'i64')),
        );
      },
      { pixels, ids: words },
    );
  });

  it('DINO, positions resized', async () => {
    const config = parseDinoConfig({
      img_size: 12,
      patch_size: 4,
      embed_dim: 12,
      num_heads: 3,
      depth: 2,
      mlp_ratio: 2,
    });
    await checkGradients((scope) => dinoFeatures(config, scope, g.input('pixels', pixels.shape)), { pixels });
  });
});
