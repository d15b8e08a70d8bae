export {
  AdamW,
  type AdamWReport,
  type AdamWSettings,
  type AdamWStep,
  NonFiniteGradientError,
  OptimizerSettingError,
} from './adamw.ts';
export { startMovingAverage, updateMovingAverage } from './moving-average.ts';
export { ArenaLayoutError, ArenaSizeError, ParameterArena, type TrainableTensor } from './parameter-arena.ts';
