export { parseT5Config, type T5Config, t5ConfigJson } from './config.ts';
export { type T5Inputs, type T5Options, t5Encoder } from './model.ts';
export { positionBucket, positionBuckets } from './position-buckets.ts';
export { untieT5Weights } from './weights.ts';
