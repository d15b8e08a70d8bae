export { type DinoConfig, dinoConfigJson, parseDinoConfig } from './config.ts';
export { dinoFeatures } from './model.ts';
export { bicubicWeights, positionResize } from './position-resize.ts';
