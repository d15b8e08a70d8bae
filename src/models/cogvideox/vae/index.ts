export { latentFrameCount, pixelFrameCount } from './batches.ts';
export {
  type CodecRunOptions,
  type DecodeState,
  type DecodeStep,
  type Posterior,
  VaeCodec,
  type VaeCodecOptions,
} from './codec.ts';
export { parseVaeConfig, type VaeConfig, vaeConfigJson } from './config.ts';
export { vaeDecoder } from './decoder.ts';
export { vaeEncoder } from './encoder.ts';
export { vaeParameters } from './programs.ts';
export { silentBranches } from './silent.ts';
export { defaultTiles, type TileSettings } from './tiles.ts';
export { type VaeTrainingResult, vaeTrainingForward } from './training.ts';
