export { type GuieConfig, parseGuieConfig } from './config.ts';
export { guieFeatures } from './model.ts';
export { isGuieTrainingHead, plainGuieWeights } from './weights.ts';
