import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { freemem } from 'node:os';
import { dirname, join, resolve, sep } from 'node:path';
import { parseAmtConfig } from '../models/amt/index.ts';
import { createContrastiveTextEncoder } from '../models/contrastive-text-encoder.ts';
import { encoderFamily } from '../models/encoder-family.ts';
import { plainGuieWeights } from '../models/guie/index.ts';
import { createImageEncoder } from '../models/image-encoder.ts';
import { parseRaftConfig } from '../models/raft/index.ts';
import { loadTokenizer } from '../models/tokenizer/index.ts';
import type { Runtime } from '../runtime/index.ts';
import { openWeights, type WeightFiles } from '../store/weights.ts';
import { DTYPE_SIZE_BYTES } from '../tensor/dtype.ts';
import { sizeOf } from '../tensor/shape.ts';
import { parseStrictJson } from '../tensor/strict-json.ts';
import {
  type ContrastiveEmbedder,
  contrastiveEmbedder,
  type ImageEmbedder,
  imageEmbedder,
} from './embedder.ts';
import { createFarnebackFlow } from './flow/farneback.ts';
import type { FlowEstimator } from './flow/flows.ts';
import { createRaftFlow } from './flow/raft.ts';
import { createAmtInterpolator } from './interpolation/amt.ts';
import { createFlowInterpolator } from './interpolation/flow-interpolator.ts';
import { type EncoderIdentity, MetricError, type Settings } from './metric.ts';
import type { FrameInterpolator } from './smoothness.ts';

/** Where the models are: folders in their public layouts (config and weights), or bare weights files. */
export interface EncoderPaths {
  /** CLIP with both towers (transformers or open_clip layout, with its tokenizer): CLIP-T and T-Cons. */
  readonly clip?: string | undefined;
  /** Image encoder for CLIP-I; default: that of `clip`. A bare file is the fine-tuned ViT-H/14. */
  readonly clipI?: string | undefined;
  /** DINO; a bare file is ViT-S/16. */
  readonly dino?: string | undefined;
  /** RAFT; a bare file is raft-things' architecture. Default: classical flow. */
  readonly flow?: string | undefined;
  /** AMT-S, folder or file, for motion smoothness. Default: interpolation along `flow`. */
  readonly interpolator?: string | undefined;
}

/** Everything that looks at pixels, ready for use. Absent ones make their metrics absent. */
export interface MetricEncoders {
  readonly clip: ContrastiveEmbedder | undefined;
  readonly clipI: ImageEmbedder | undefined;
  readonly dino: ImageEmbedder | undefined;
  readonly flow: FlowEstimator;
  readonly interpolator: FrameInterpolator;
  release(): Promise<void>;
}

/** Opens what the paths name. Weights are checked by name and shape at once, and hashed: the hash is in every number. */
export async function openMetricEncoders(runtime: Runtime, paths: EncoderPaths): Promise<MetricEncoders> {
  const clip = paths.clip === undefined ? undefined : await openContrastive(runtime, paths.clip);
  const clipI = paths.clipI === undefined ? clip : await openImages(runtime, paths.clipI, { guie: {} });
  const dino =
    paths.dino === undefined ? undefined : await openImages(runtime, paths.dino, { arch: 'vit_small' });
  const flow = paths.flow === undefined ? createFarnebackFlow() : await openRaft(runtime, paths.flow);
  const interpolator =
    paths.interpolator === undefined
      ? createFlowInterpolator(flow)
      : await openAmt(runtime, paths.interpolator);
  return {
    clip,
    clipI,
    dino,
    flow,
    interpolator,
    release: async () => {
      for (const each of new Set([clip, clipI, dino, flow, interpolator])) await each?.release();
    },
  };
}

interface ModelFiles {
  readonly config: unknown;
  /** Names the configuration in errors. */
  readonly where: string;
  readonly weights: WeightFiles;
  readonly residence: 'fold' | 'mapped';
}

const CONFIG_NAMES = ['open_clip_config.json', 'config.json'];

/** `bareConfig` describes weights that come without a configuration, as the official files do. */
async function openModel(path: string, bareConfig: unknown): Promise<ModelFiles> {
  const weights = await openWeights(path);
  const residence = residenceOf(weights);
  const name = CONFIG_NAMES.find((candidate) => existsSync(join(path, candidate)));
  if (name !== undefined) {
    const where = join(path, name);
    return { config: parseStrictJson(await readFile(where), where), where, weights, residence };
  }
  if (bareConfig !== undefined) return { config: bareConfig, where: path, weights, residence };
  throw new MetricError({
    where: path,
    expected: `a folder with ${CONFIG_NAMES.join(' or ')} and weights`,
    got: 'no configuration',
  });
}

/** Folding makes an f32 copy of every weight; above half of the free memory they stay in their files. */
function residenceOf({ entries }: WeightFiles): 'fold' | 'mapped' {
  let bytes = 0;
  for (const { shape } of entries.values()) bytes += sizeOf(shape) * DTYPE_SIZE_BYTES.f32;
  return bytes > freemem() / 2 ? 'mapped' : 'fold';
}

async function openContrastive(runtime: Runtime, path: string): Promise<ContrastiveEmbedder> {
  const { config, where, weights, residence } = await openModel(path, undefined);
  const { name, text } = encoderFamily(config, where);
  if (!text) {
    throw new MetricError({ where, expected: 'a model with a text tower', got: name });
  }
  const source = { config, where, weights: weights.entries, residence };
  const images = createImageEncoder(runtime, source);
  const texts = createContrastiveTextEncoder(runtime, {
    ...source,
    tokenizer: await loadTokenizer(dirname(where)),
  });
  return contrastiveEmbedder(images, texts, await imageIdentity(path, config, where, weights));
}

async function openImages(runtime: Runtime, path: string, bareConfig: object): Promise<ImageEmbedder> {
  const { config, where, weights, residence } = await openModel(path, bareConfig);
  const plain =
    encoderFamily(config, where).name === 'guie' ? plainGuieWeights(weights.entries) : weights.entries;
  const encoder = createImageEncoder(runtime, { config, where, weights: plain, residence });
  return imageEmbedder(encoder, await imageIdentity(path, config, where, weights));
}

async function imageIdentity(
  path: string,
  config: unknown,
  where: string,
  weights: WeightFiles,
): Promise<EncoderIdentity> {
  const { name, embeddingDim, preprocessing } = encoderFamily(config, where);
  const { shape, resizeTo, cropTo, filter } = preprocessing;
  return identityOf(name, path, weights, {
    dim: embeddingDim,
    input: shape === 'square' ? `${cropTo} square` : `${resizeTo} short side, ${cropTo} crop`,
    filter,
  });
}

async function openRaft(runtime: Runtime, path: string): Promise<FlowEstimator> {
  const { config, where, weights } = await openModel(path, { small: false });
  const { small, iterations } = parseRaftConfig(config, where);
  const identity = await identityOf(small ? 'raft-small' : 'raft', path, weights, { iterations });
  return createRaftFlow(runtime, { config, where, weights: weights.entries }, identity);
}

async function openAmt(runtime: Runtime, path: string): Promise<FrameInterpolator> {
  const { config, where, weights } = await openModel(path, { amt: 'S' });
  const { flows } = parseAmtConfig(config, where);
  const identity = await identityOf('amt-s', path, weights, { flows });
  return createAmtInterpolator(runtime, { config, where, weights: weights.entries }, identity);
}

async function identityOf(
  name: string,
  path: string,
  weights: WeightFiles,
  settings: Settings,
): Promise<EncoderIdentity> {
  return { name, source: labelOf(path), hash: await weights.hash(), settings };
}

/** The last two names of a path: enough for people, and says nothing about whose machine it was. */
function labelOf(path: string): string {
  return resolve(path).split(sep).slice(-2).join('/');
}
