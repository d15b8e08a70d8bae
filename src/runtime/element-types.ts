import type { Tensor } from 'onnxruntime-node';
import type { DType } from '../tensor/dtype.ts';

/** onnxruntime's names of the dtypes that can be fed and fetched. bf16 cannot: only weights may have it. */
export const ELEMENT_TYPES: Partial<Record<DType, Tensor.Type>> = {
  f32: 'float32',
  f64: 'float64',
  f16: 'float16',
  i64: 'int64',
  i32: 'int32',
  i16: 'int16',
  i8: 'int8',
  u8: 'uint8',
  bool: 'bool',
};
