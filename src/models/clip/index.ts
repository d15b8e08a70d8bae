export {
  type ClipActivation,
  type ClipConfig,
  type ClipTextConfig,
  type ClipTowerConfig,
  type ClipVisionConfig,
  clipConfigJson,
  parseClipConfig,
} from './config.ts';
export { type ClipTextInputs, clipImageFeatures, clipLogits, clipTextFeatures } from './model.ts';
export { isClipBuffer } from './weights.ts';
