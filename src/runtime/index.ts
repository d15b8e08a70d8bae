export { EngineError } from './engine-error.ts';
export * from './optimizer/index.ts';
export {
  createRuntime,
  type Executable,
  type Runtime,
  type RuntimeOptions,
  type Trainer,
} from './runtime.ts';
export {
  GRADIENT_PREFIX,
  NonFiniteLossError,
  type Tensors,
  type TrainerState,
  type TrainStepResult,
} from './training.ts';
export {
  compareWeights,
  copyElements,
  type FileRegion,
  fileVersion,
  requireWeights,
  type TensorSource,
  type WeightsMismatch,
  WeightsMismatchError,
  type WeightTable,
} from './weight-table.ts';
