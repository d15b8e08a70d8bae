import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { type NoiseSchedule, parseNoiseSchedule, type SamplerKind } from '../diffusion/index.ts';
import { parseTransformerConfig, type TransformerConfig } from '../models/cogvideox/transformer/index.ts';
import { parseVaeConfig } from '../models/cogvideox/vae/index.ts';
import type { Runtime } from '../runtime/index.ts';
import type { FeatureCache } from '../store/feature-cache.ts';
import { openPipelineFolder } from '../store/pipeline-folder.ts';
import { BASE_CARD } from '../store/pipeline-json.ts';
import { openWeights, type WeightFiles } from '../store/weights.ts';
import { findImageEncoder, type ImageEncoderFolder, openEncoders } from './base-encoders.ts';
import { locateBase } from './base-location.ts';
import { requireBaseFits } from './base-weights.ts';
import type { EncoderSource } from './encoders.ts';
import { LatentDecoder } from './latent-decoder.ts';
import { residenceOf } from './residence.ts';
import type { SizeRule } from './sample-size.ts';
import { withRememberedHash } from './weights-hash.ts';

/** A base model: everything about it that is known without loading weights. */
export interface Base {
  readonly name: string;
  readonly folder: string;
  readonly transformer: TransformerConfig;
  readonly transformerWeights: WeightFiles;
  readonly schedule: NoiseSchedule;
  readonly sampler: SamplerKind;
  /** The guidance that suits it, where its card tells one. */
  readonly guidance: number | undefined;
  /** Learning rates that suit it, by method and stage, where its card tells them. */
  readonly learningRates: MethodRates;
  /** What groups of parameters multiply those rates with, by method and group. */
  readonly groupRates: MethodRates;
  /** Biases of training timesteps that suit it, by method and data. */
  readonly timestepBias: MethodRates;
  /** Latents are multiplied by it between VAE and transformer. */
  readonly scalingFactor: number;
  /** The size it was made for: pixels, frames, frames per second. */
  readonly nominal: {
    readonly width: number;
    readonly height: number;
    readonly frames: number;
    readonly fps: number;
  };
  /** Width of the image embeddings its encoder gives; CogVideoX's own where there is none yet. */
  readonly imageDim: number;
  readonly image: ImageEncoderFolder | undefined;
  /** Which sizes of video it takes. */
  readonly sizeRule: SizeRule;
  /** 'mapped' where the weights as f32 would not fit beside everything else. */
  readonly residence: 'fold' | 'mapped';
  /** What a user should know, e.g. that the weights are random. */
  readonly notice: string | undefined;
  /** SHA-256 over the weights of transformer, VAE and text encoder. */
  hash(): Promise<string>;
  openEncoders(runtime: Runtime): Promise<EncoderSource>;
  openDecoder(runtime: Runtime): LatentDecoder;
  /** Latent extents of a sample. */
  latentSize(size: { readonly width: number; readonly height: number; readonly frames: number }): {
    readonly latentFrames: number;
    readonly latentHeight: number;
    readonly latentWidth: number;
  };
}

export interface OpenBaseOptions {
  /** Folder of the image encoder, where the base has none or another is wanted. */
  readonly imageEncoder?: string | undefined;
  /** Where hashes of weights are remembered. */
  readonly cache?: FeatureCache | undefined;
}

/**
 * Numbers by method, then by stage, group or data. Those of a method and preset, `dualreal:official`, come before those
 * of the method.
 */
export const methodRatesSchema = z.record(z.string(), z.record(z.string(), z.number().positive()));
export type MethodRates = Readonly<z.infer<typeof methodRatesSchema>>;

const cardSchema = z
  .object({
    name: z.string(),
    fps: z.number().positive(),
    guidance: z.number().min(1),
    learningRates: methodRatesSchema,
    groupRates: methodRatesSchema,
    timestepBias: methodRatesSchema,
    notice: z.string(),
  })
  .partial();
type BaseCard = z.infer<typeof cardSchema>;

/** The release's ViT-H/14. */
const RELEASE_IMAGE_DIM = 1024;
const RELEASE_FPS = 8;

/**
 * Opens a base: `toybox`, the embedded one, or a folder in the diffusers layout. Configurations are parsed,
 * weights are checked by name and shape against the models they belong to; every mismatch is listed.
 */
export async function openBase(name: string, { imageEncoder, cache }: OpenBaseOptions = {}): Promise<Base> {
  const located = locateBase(name);
  const pipeline = await openPipelineFolder(located.folder);
  const { folder, components } = pipeline;
  const transformer = parseTransformerConfig(
    components.transformer.config,
    join(components.transformer.folder, 'config.json'),
  );
  const vae = parseVaeConfig(components.vae.config, join(components.vae.folder, 'config.json'));
  const openPart = async (part: string): Promise<WeightFiles> => {
    const weights = await openWeights(part);
    return cache ? withRememberedHash(weights, cache) : weights;
  };
  const [transformerWeights, vaeWeights, textWeights] = await Promise.all([
    openPart(components.transformer.folder),
    openPart(components.vae.folder),
    openPart(components.text_encoder.folder),
  ]);
  requireBaseFits({
    pipeline,
    transformer,
    vae,
    weights: { transformer: transformerWeights, vae: vaeWeights, text_encoder: textWeights },
  });
  const schedule = parseNoiseSchedule(
    components.scheduler.config,
    join(components.scheduler.folder, 'scheduler_config.json'),
  );
  const card = await readCard(folder);
  const image = await findImageEncoder(folder, imageEncoder, openPart);
  const spatial = vae.spatialCompression;
  return {
    name: card.name ?? basename(folder),
    folder,
    transformer,
    transformerWeights,
    schedule,
    sampler: schedule.config.samplerKind ?? 'dpm',
    guidance: card.guidance,
    learningRates: card.learningRates ?? {},
    groupRates: card.groupRates ?? {},
    timestepBias: card.timestepBias ?? {},
    scalingFactor: vae.scalingFactor,
    nominal: {
      width: transformer.sampleWidth * spatial,
      height: transformer.sampleHeight * spatial,
      frames: transformer.sampleFrames,
      fps: card.fps ?? RELEASE_FPS,
    },
    imageDim: image?.dim ?? RELEASE_IMAGE_DIM,
    image,
    sizeRule: {
      pixelsPerToken: spatial * transformer.patch,
      temporalRatio: transformer.temporalCompression,
    },
    residence: residenceOf(transformerWeights),
    notice: [located.notice, card.notice].filter((notice) => notice !== undefined).join('; ') || undefined,
    hash: async () => {
      const parts = [transformerWeights, vaeWeights, textWeights];
      const hashes = await Promise.all(parts.map((weights) => weights.hash()));
      return createHash('sha256').update(hashes.join()).digest('hex');
    },
    openEncoders: (runtime) =>
      openEncoders(runtime, {
        text: components.text_encoder,
        textWeights,
        tokenizerFolder: components.tokenizer.folder,
        textTokens: transformer.textTokens,
        image,
        vae,
        vaeWeights,
      }),
    openDecoder: (runtime) => new LatentDecoder(runtime, vae, vaeWeights),
    latentSize: ({ width, height, frames }) => ({
      latentFrames: (frames - 1) / transformer.temporalCompression + 1,
      latentHeight: height / spatial,
      latentWidth: width / spatial,
    }),
  };
}

async function readCard(folder: string): Promise<BaseCard> {
  const path = join(folder, BASE_CARD);
  if (!existsSync(path)) return {};
  return cardSchema.parse(JSON.parse(await readFile(path, 'utf8')));
}
