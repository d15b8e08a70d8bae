import { chmod, mkdir, mkdtemp, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { input } from '../graph/index.ts';
import {
  clipConfigJson,
  clipImageFeatures,
  clipLogits,
  clipTextFeatures,
  parseClipConfig,
} from '../models/clip/index.ts';
import {
  cogVideoXTransformer,
  parseTransformerConfig,
  transformerConfigJson,
} from '../models/cogvideox/transformer/index.ts';
import { vaeConfigJson, vaeParameters } from '../models/cogvideox/vae/index.ts';
import { parseT5Config, t5ConfigJson, t5Encoder } from '../models/t5/index.ts';
import { Parameters } from '../nn/parameters.ts';
import { BASE_CARD, pipelineIndexJson, schedulerConfigJson } from '../store/pipeline-json.ts';
import { writeFileAtomic } from '../tensor/atomic-file.ts';
import { fromFloat32 } from '../tensor/dtype.ts';
import { DualrealError } from '../tensor/errors.ts';
import { type HostTensor, zeros } from '../tensor/host-tensor.ts';
import { randomStream } from '../tensor/random.ts';
import { writeSafetensorsFile } from '../tensor/safetensors.ts';
import { type Shape, sizeOf } from '../tensor/shape.ts';
import {
  clipTokenizerFiles,
  TEXT_TOKENS,
  type TokenizerFiles,
  t5TokenizerFiles,
} from '../toybox/pretrain/tokenizers.ts';
import { RANDOM_BASE_SIZES } from './init-base-configs.ts';
import type { WorkflowEvent } from './workflow.ts';

export const initBaseRequestSchema = z.strictObject({
  /** Folder to create. */
  out: z.string().min(1),
  seed: z.number().int().nonnegative().default(0),
  size: z.enum(Object.keys(RANDOM_BASE_SIZES) as [keyof typeof RANDOM_BASE_SIZES]).default('toy'),
});

export type InitBaseRequest = z.infer<typeof initBaseRequestSchema>;

/**
 * Writes a complete base with random weights in the diffusers layout: the architecture of CogVideoX, small.
 * It trains and samples like a real one, but what it shows is noise; its card says so.
 */
export async function* initBase(request: InitBaseRequest): AsyncGenerator<WorkflowEvent, string> {
  const { out } = request;
  const names = await readdir(out).catch((error: NodeJS.ErrnoException) => {
    ignoreMissing(error);
    return [];
  });
  if (names.length > 0) {
    throw new DualrealError({
      where: out,
      expected: 'a new or empty folder',
      got: `one with ${names.length} entries`,
    });
  }
  yield { type: 'stage', stage: 'writing a base with random weights', detail: out };
  await mkdir(dirname(resolve(out)), { recursive: true });
  const half = await mkdtemp(join(dirname(resolve(out)), '.dualreal-base-'));
  try {
    await writeBase(half, request);
    await chmod(half, 0o777 & ~process.umask());
    await rmdir(out).catch(ignoreMissing);
    await rename(half, out);
  } catch (error) {
    await rm(half, { recursive: true, force: true });
    throw error;
  }
  yield { type: 'artifact', kind: 'base', path: out };
  return out;
}

/** Writes a base into a folder that nobody looks at yet. */
async function writeBase(out: string, { seed, size }: InitBaseRequest): Promise<void> {
  const sizes = RANDOM_BASE_SIZES[size];
  const transformer = parseTransformerConfig(sizes.transformer);
  const textTokenizer = t5TokenizerFiles();
  const imageTokenizer = clipTokenizerFiles();
  const text = parseT5Config({ ...sizes.text, vocab_size: vocabularyOf(textTokenizer) });
  const image = parseClipConfig(sizes.image(vocabularyOf(imageTokenizer)));

  await component(
    out,
    'transformer',
    transformerConfigJson(transformer),
    'diffusion_pytorch_model',
    seed,
    (scope) => {
      cogVideoXTransformer(transformer, scope, {
        latents: input('latents', [1, 1, transformer.latentChannels, transformer.patch, transformer.patch]),
        text: input('text', [1, 1, transformer.textDim]),
        timestep: input('timestep', [1]),
      });
    },
  );
  await component(out, 'vae', vaeConfigJson(sizes.vae), 'diffusion_pytorch_model', seed, (scope) => {
    vaeParameters(sizes.vae, scope);
  });
  await component(out, 'text_encoder', t5ConfigJson(text), 'model', seed, (scope) => {
    t5Encoder(text, scope, { ids: input('ids', [1, TEXT_TOKENS], 'i64') });
  });
  await component(out, 'image_encoder', clipConfigJson(image), 'model', seed, (scope) => {
    const pixels = input('pixels', [1, 3, image.vision.imageSide, image.vision.imageSide]);
    const ids = input('ids', [1, image.text.tokens], 'i64');
    clipLogits(scope, clipImageFeatures(image, scope, pixels), clipTextFeatures(image, scope, { ids }));
  });
  await tokenizer(join(out, 'tokenizer'), textTokenizer);
  await tokenizer(join(out, 'image_encoder'), imageTokenizer);
  await json(join(out, 'scheduler'), 'scheduler_config.json', schedulerConfigJson());
  await json(out, BASE_CARD, {
    name: `random-${size}`,
    fps: 8,
    notice:
      'this base has random weights: training and sampling run as with a real one, but videos are noise',
  });
  await json(out, 'model_index.json', pipelineIndexJson());
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}

function vocabularyOf({ json: { model, added_tokens } }: TokenizerFiles): number {
  const ids = (added_tokens as readonly { id: number }[]).map(({ id }) => id + 1);
  return Math.max((model as { vocab: readonly unknown[] }).vocab.length, ...ids);
}

async function component(
  out: string,
  name: string,
  config: Readonly<Record<string, unknown>>,
  weightsName: string,
  seed: number,
  declare: (scope: Parameters['root']) => void,
): Promise<void> {
  const folder = join(out, name);
  await json(folder, 'config.json', config);
  const parameters = new Parameters();
  declare(parameters.root);
  const tensors = new Map<string, HostTensor>();
  for (const [path, { shape }] of parameters.declared) tensors.set(path, randomTensor(path, shape, seed));
  await writeSafetensorsFile(join(folder, `${weightsName}.safetensors`), tensors, { format: 'pt' });
}

/** Norm gains 1, biases 0, everything else normal with the variance that keeps signals in range; f16. */
function randomTensor(path: string, shape: Shape, seed: number): HostTensor {
  const values = zeros('f32', shape);
  const isVector = shape.length <= 1;
  const isGain = isVector && path.endsWith('weight');
  if (isGain || path.endsWith('logit_scale')) values.data.fill(1);
  else if (!isVector || path.endsWith('class_embedding')) {
    const fanIn = sizeOf(shape.slice(1)) || 1;
    const stream = randomStream(seed, 'base', path);
    for (let i = 0; i < values.data.length; i++) values.data[i] = stream.normal() / Math.sqrt(fanIn);
  }
  return { dtype: 'f16', shape, data: fromFloat32('f16', values.data) as Uint16Array };
}

async function tokenizer(folder: string, files: TokenizerFiles): Promise<void> {
  await json(folder, 'tokenizer.json', files.json);
  await json(folder, 'tokenizer_config.json', files.config);
}

async function json(folder: string, name: string, value: object): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFileAtomic(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
}
