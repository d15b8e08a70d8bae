import { freemem } from 'node:os';
import { DTYPE_SIZE_BYTES } from '../tensor/dtype.ts';
import { type Shape, sizeOf } from '../tensor/shape.ts';

/** Folding makes an f32 copy of every weight; above half of the free memory they stay in their files. */
export function residenceOf({
  entries,
}: {
  readonly entries: ReadonlyMap<string, { readonly shape: Shape }>;
}): 'fold' | 'mapped' {
  let bytes = 0;
  for (const { shape } of entries.values()) bytes += sizeOf(shape) * DTYPE_SIZE_BYTES.f32;
  return bytes > freemem() / 2 ? 'mapped' : 'fold';
}
