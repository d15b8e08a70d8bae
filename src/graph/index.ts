export { checkpoint } from './checkpoint.ts';
export { gradients } from './gradient.ts';
export type { Backend } from './onnx-emitter.ts';
export * from './ops/index.ts';
export { type Program, printProgram, program } from './program.ts';
export {
  allOps,
  constant,
  input,
  NotDifferentiableError,
  type Value,
  type ValueType,
  weight,
} from './value.ts';
