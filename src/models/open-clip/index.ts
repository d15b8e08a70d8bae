export {
  type OpenClipConfig,
  type OpenClipTextConfig,
  type OpenClipTowerConfig,
  type OpenClipVisionConfig,
  parseOpenClipConfig,
  VIT_H_14,
} from './config.ts';
export {
  openClipImageFeatures,
  openClipLogits,
  openClipTextFeatures,
  openClipVisionTower,
} from './model.ts';
