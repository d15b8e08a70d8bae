import type { Program } from '../../graph/index.ts';
import type { Tensors } from '../../runtime/index.ts';
import type { TensorTable } from './task.ts';

/** Those of the parameters that a program asks for. */
export function inputsOf(program: Program, parameters: TensorTable): Tensors {
  return Object.fromEntries([...parameters].filter(([name]) => program.inputs.has(name)));
}
