import type { Value } from '../../graph/index.ts';
import { linear } from '../../nn/layers.ts';
import type { ParameterScope } from '../../nn/parameters.ts';
import { openClipVisionTower } from '../open-clip/index.ts';
import { overlappingPatchEmbedding } from '../patches.ts';
import type { Probe } from '../probe.ts';
import type { GuieConfig } from './config.ts';

/**
 * The "enhanced CLIP" that DualReal measures CLIP-I with: pixels [B, 3, side, side] → [B, E], not normalised
 * (ShihaoShao-GH/1st-Place-Solution-in-Google-Universal-Image-Embedding, `add_layer_model` without its margin head).
 */
export function guieFeatures(config: GuieConfig, scope: ParameterScope, pixels: Value, probe?: Probe): Value {
  const { vision, backboneDim, embeddingDim, overlap } = config;
  const { patch, width } = vision;
  const backbone = scope.at('backbone');
  const patches = overlappingPatchEmbedding(backbone.at('conv1'), pixels, patch, patch - overlap, width);
  const tower = { vision, embeddingDim: backboneDim, quickGelu: false };
  const features = openClipVisionTower(tower, backbone, patches, probe);
  probe?.('backbone_features', features);
  return linear(scope.at('fc1'), features, embeddingDim);
}
