import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { VaeCodec, type VaeConfig } from '../models/cogvideox/vae/index.ts';
import { encoderFamily } from '../models/encoder-family.ts';
import { createImageEncoder } from '../models/image-encoder.ts';
import { createTextEncoder } from '../models/text-encoder.ts';
import { loadTokenizer, type TextTokenizer } from '../models/tokenizer/index.ts';
import type { Runtime } from '../runtime/index.ts';
import type { ComponentFolder } from '../store/pipeline-folder.ts';
import type { WeightFiles } from '../store/weights.ts';
import { DualrealError } from '../tensor/errors.ts';
import { reshaped } from '../tensor/host-tensor.ts';
import type { EncoderSource, ImageEncoder, TextEncoder, VideoEncoder } from './encoders.ts';
import { residenceOf } from './residence.ts';

/** A folder with an image encoder, recognised by its configuration. */
export interface ImageEncoderFolder {
  readonly folder: string;
  readonly configPath: string;
  readonly config: unknown;
  readonly weights: WeightFiles;
  readonly dim: number;
}

const IMAGE_CONFIGS = ['open_clip_config.json', 'config.json'];

/** The image encoder asked for, or the base's own in image_encoder/; undefined where there is none. */
export async function findImageEncoder(
  base: string,
  asked: string | undefined,
  openPart: (folder: string) => Promise<WeightFiles>,
): Promise<ImageEncoderFolder | undefined> {
  const folder = asked ?? join(base, 'image_encoder');
  if (!asked && !existsSync(folder)) return undefined;
  const name = IMAGE_CONFIGS.find((candidate) => existsSync(join(folder, candidate)));
  if (!name) {
    throw new DualrealError({
      where: folder,
      expected: `an image encoder with ${IMAGE_CONFIGS.join(' or ')}`,
      got: existsSync(folder) ? 'a folder without either' : 'no folder',
    });
  }
  const configPath = join(folder, name);
  const config: unknown = JSON.parse(await readFile(configPath, 'utf8'));
  const dim = encoderFamily(config, configPath).embeddingDim;
  return { folder, configPath, config, dim, weights: await openPart(folder) };
}

export interface EncoderParts {
  readonly text: ComponentFolder;
  readonly textWeights: WeightFiles;
  readonly tokenizerFolder: string;
  readonly textTokens: number;
  readonly image: ImageEncoderFolder | undefined;
  readonly vae: VaeConfig;
  readonly vaeWeights: WeightFiles;
}

/** A base's encoders, each loaded when first used, all released together. */
export async function openEncoders(runtime: Runtime, parts: EncoderParts): Promise<EncoderSource> {
  const opened: { release(): Promise<void> }[] = [];
  const once = <T extends { release(): Promise<void> }>(open: () => Promise<T>): (() => Promise<T>) => {
    let pending: Promise<T> | undefined;
    return () => {
      pending ??= open().then((encoder) => {
        opened.push(encoder);
        return encoder;
      });
      return pending;
    };
  };
  let tokenizer: Promise<TextTokenizer> | undefined;
  const openTokenizer = () => {
    tokenizer ??= loadTokenizer(parts.tokenizerFolder);
    return tokenizer;
  };
  return {
    fingerprints: {
      text: await fingerprint(parts.textWeights, parts.text.config, parts.textTokens),
      image: parts.image ? await fingerprint(parts.image.weights, parts.image.config) : 'none',
      video: await fingerprint(parts.vaeWeights, parts.vae),
    },
    text: once(async () => openText(runtime, parts, await openTokenizer())),
    tokenize: async (text) => {
      const opened = await openTokenizer();
      const { ids } = opened.encode(text, parts.textTokens);
      return { ids: Array.from(ids.data, Number), words: opened.words(text) };
    },
    image: once(() => openImage(runtime, parts.image)),
    video: once(async () => openVideo(runtime, parts)),
    release: async () => {
      for (const encoder of opened.splice(0)) await encoder.release();
    },
  };
}

async function fingerprint(weights: WeightFiles, ...facts: readonly unknown[]): Promise<string> {
  return createHash('sha256')
    .update(JSON.stringify([await weights.hash(), ...facts]))
    .digest('hex');
}

function openVideo(runtime: Runtime, { vae, vaeWeights }: EncoderParts): Releasable<VideoEncoder> {
  const whole = new VaeCodec(runtime, vae, vaeWeights.entries, { residence: residenceOf(vaeWeights) });
  return {
    encode: async (frames) => {
      const { mean, logvar } = await whole.encode(frames);
      return { mean, logVariance: logvar };
    },
    release: () => whole.release(),
  };
}

type Releasable<T> = T & { release(): Promise<void> };

function openText(
  runtime: Runtime,
  { text, textWeights, textTokens }: EncoderParts,
  tokenizer: TextTokenizer,
): Releasable<TextEncoder> {
  const encoder = createTextEncoder(runtime, {
    config: text.config,
    weights: textWeights.entries,
    residence: residenceOf(textWeights),
    tokenizer,
    tokens: textTokens,
    where: text.folder,
  });
  return {
    encode: async (prompt) => {
      const { embedding, tokenized } = await encoder.encode(prompt);
      const { cut } = tokenized;
      const notes = cut
        ? [`the prompt is too long for ${textTokens} tokens; the encoder does not see "${cut.text}"`]
        : [];
      return { embedding: reshaped(embedding, embedding.shape.slice(1)), notes };
    },
    release: () => encoder.release(),
  };
}

async function openImage(
  runtime: Runtime,
  folder: ImageEncoderFolder | undefined,
): Promise<Releasable<ImageEncoder>> {
  if (!folder) throw noImageEncoder();
  const encoder = createImageEncoder(runtime, {
    config: folder.config,
    weights: folder.weights.entries,
    residence: residenceOf(folder.weights),
    where: folder.configPath,
  });
  return {
    dim: encoder.embeddingDim,
    // The release resizes straight to the square, whatever the encoder's own preprocessing does.
    recipe: { ...encoder.preprocessing, shape: 'square', filter: 'bilinear' },
    encode: (pixels) => encoder.encode(pixels),
    release: () => encoder.release(),
  };
}

/** No image encoder where the condition of the motion adapters needs one. */
export function noImageEncoder(): DualrealError {
  return new DualrealError({
    where: 'image encoder',
    expected: 'one: the motion adapters are conditioned on an image embedding',
    got: 'none in the base folder',
    hint: 'give one with --image-encoder (the release uses open_clip ViT-H/14, laion2b_s32b_b79k)',
  });
}
