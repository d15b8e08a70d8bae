import type { Value } from '../graph/index.ts';
import type { ParameterScope } from '../nn/parameters.ts';
import { quoteBriefly } from '../tensor/strict-json.ts';
import { clipImageFeatures, clipTextFeatures, isClipBuffer, parseClipConfig } from './clip/index.ts';
import { UnsupportedConfigError } from './config.ts';
import { dinoFeatures, parseDinoConfig } from './dino/index.ts';
import { guieFeatures, isGuieTrainingHead, parseGuieConfig } from './guie/index.ts';
import { openClipImageFeatures, openClipTextFeatures, parseOpenClipConfig } from './open-clip/index.ts';
import {
  clipPreprocessing,
  dinoPreprocessing,
  guiePreprocessing,
  type ImagePreprocessing,
} from './preprocessing.ts';

/** The text tower of an encoder that has one. */
export interface TextTower {
  /** Length that texts are padded to. */
  readonly tokens: number;
  readonly vocabulary: number;
  /** ids i64 [B, S] → [B, E]. */
  features(scope: ParameterScope, ids: Value): Value;
}

/** An image encoder's architecture behind one face, whichever project its checkpoint comes from. */
export interface EncoderFamily {
  readonly name: 'clip' | 'open-clip' | 'dino' | 'guie';
  /** E. */
  readonly embeddingDim: number;
  /** Side of the square image it was trained on, in pixels. */
  readonly imageSide: number;
  /** Whether images of other sizes can be encoded too. */
  readonly anySize: boolean;
  readonly preprocessing: ImagePreprocessing;
  /** pixels [B, 3, H, W] → [B, E], not normalised. */
  imageFeatures(scope: ParameterScope, pixels: Value): Value;
  readonly text: TextTower | undefined;
  /** Tensors in checkpoints that are no weights. */
  isBuffer(name: string): boolean;
}

/**
 * Recognises the config.json of a CLIP model of transformers (`model_type`), of open_clip (`vision_cfg`, bare or
 * in `model_cfg`) or a description of a DINO (`arch`) or GUIE (`guie`) checkpoint.
 */
export function encoderFamily(json: unknown, where = 'config.json'): EncoderFamily {
  const has = (field: string) => typeof json === 'object' && json !== null && field in json;
  if (has('guie')) return guieFamily(json, where);
  if (has('vision_cfg') || has('model_cfg')) return openClipFamily(json, where);
  if (has('arch')) return dinoFamily(json, where);
  if (has('model_type')) return clipFamily(json, where);
  throw new UnsupportedConfigError({
    where: `${where}, fields model_type, vision_cfg, arch, guie`,
    expected: 'one of them, as CLIP of transformers, open_clip, DINO and GUIE have',
    got: quoteBriefly(json),
  });
}

function clipFamily(json: unknown, where: string): EncoderFamily {
  const config = parseClipConfig(json, where);
  return {
    name: 'clip',
    embeddingDim: config.embeddingDim,
    imageSide: config.vision.imageSide,
    anySize: false,
    preprocessing: clipPreprocessing(config.vision.imageSide),
    imageFeatures: (scope, pixels) => clipImageFeatures(config, scope, pixels),
    text: { ...config.text, features: (scope, ids) => clipTextFeatures(config, scope, { ids }) },
    isBuffer: (name) => isClipBuffer(name) || name === 'logit_scale',
  };
}

function openClipFamily(json: unknown, where: string): EncoderFamily {
  const config = parseOpenClipConfig(json, where);
  return {
    name: 'open-clip',
    embeddingDim: config.embeddingDim,
    imageSide: config.vision.imageSide,
    anySize: false,
    preprocessing: clipPreprocessing(config.vision.imageSide),
    imageFeatures: (scope, pixels) => openClipImageFeatures(config, scope, pixels),
    text: { ...config.text, features: (scope, ids) => openClipTextFeatures(config, scope, ids) },
    isBuffer: (name) => name === 'logit_scale',
  };
}

function dinoFamily(json: unknown, where: string): EncoderFamily {
  const config = parseDinoConfig(json, where);
  return {
    name: 'dino',
    embeddingDim: config.width,
    imageSide: config.imageSide,
    anySize: true,
    preprocessing: dinoPreprocessing(config.imageSide),
    imageFeatures: (scope, pixels) => dinoFeatures(config, scope, pixels),
    text: undefined,
    isBuffer: () => false,
  };
}

function guieFamily(json: unknown, where: string): EncoderFamily {
  const config = parseGuieConfig(json, where);
  return {
    name: 'guie',
    embeddingDim: config.embeddingDim,
    imageSide: config.vision.imageSide,
    anySize: false,
    preprocessing: guiePreprocessing(config.vision.imageSide),
    imageFeatures: (scope, pixels) => guieFeatures(config, scope, pixels),
    text: undefined,
    isBuffer: isGuieTrainingHead,
  };
}
