export { type AmtConfig, parseAmtConfig } from './config.ts';
export {
  createImageInterpolator,
  type ImageInterpolator,
  type ImageInterpolatorSource,
} from './interpolator.ts';
export { type AmtInputs, amtMiddle } from './model.ts';
