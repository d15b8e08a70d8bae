import type { DType } from '../tensor/dtype.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';

export type OnnxAttribute = number | bigint | string | readonly number[] | { readonly float: number };

export type Backend = 'cpu' | 'webgpu' | 'cuda';

/** What the ONNX form of an op may depend on besides its operands. */
export interface EmitTarget {
  readonly backend: Backend;
  /** Channels per block of the CPU engine's convolution layout; absent where it has none. */
  readonly blockedChannels?: number | undefined;
}

/**
 * What an op's `emit` writes with. Integers are plain numbers; a float attribute is `{ float: x }`, so
 * that 1 and 1.0 cannot be mixed up.
 */
export interface OnnxEmitter {
  readonly target: EmitTarget;
  /** Writes a node; `outputs` are given names, or a count of fresh ones. Returns the output names. */
  node(
    type: string,
    inputs: readonly string[],
    outputs: readonly string[] | number,
    attributes?: Readonly<Record<string, OnnxAttribute>>,
    domain?: string,
  ): readonly string[];
  /** An initializer (merged with an equal one). */
  constant(tensor: HostTensor): string;
  /** An f32 scalar initializer. */
  scalar(value: number): string;
  /** An i64 vector initializer (axes, shapes, indices). */
  integers(values: readonly number[]): string;
}

/** TensorProto.DataType numbers. */
export const ONNX_DTYPE: Readonly<Record<DType, number>> = {
  f32: 1,
  u8: 2,
  i8: 3,
  i16: 5,
  i32: 6,
  i64: 7,
  bool: 9,
  f16: 10,
  f64: 11,
  bf16: 16,
};
