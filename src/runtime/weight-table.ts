import { statSync } from 'node:fs';
import { isAbsolute, relative, resolve } from 'node:path';
import type { WeightLocation } from '../graph/onnx-writer.ts';
import type { Program } from '../graph/program.ts';
import { DTYPE_SIZE_BYTES, type DType } from '../tensor/dtype.ts';
import { DualrealError, FileFormatError } from '../tensor/errors.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import { formatShape, type Shape, sameShape, sizeOf } from '../tensor/shape.ts';

/** A tensor inside a file that is read in place, memory-mapped. */
export interface FileRegion {
  /** Absolute path with symbolic links resolved. */
  readonly file: string;
  readonly dtype: DType;
  readonly shape: Shape;
  readonly byteOffset: number;
  readonly byteLength: number;
}

export type WeightTable = ReadonlyMap<string, FileRegion | HostTensor>;

/** Names or shapes of a checkpoint that are not those of the model; lists every one. */
export class WeightsMismatchError extends DualrealError {}

export interface WeightsMismatch {
  readonly missing: readonly string[];
  readonly misshaped: readonly string[];
  readonly extra: readonly string[];
}

/** Compares a checkpoint's names and shapes with those a model declares. */
export function compareWeights(
  declared: ReadonlyMap<string, { readonly shape: Shape }>,
  table: ReadonlyMap<string, { readonly shape: Shape }>,
): WeightsMismatch {
  const missing: string[] = [];
  const misshaped: string[] = [];
  for (const [name, { shape }] of declared) {
    const found = table.get(name);
    if (!found) missing.push(name);
    else if (!sameShape(found.shape, shape)) {
      misshaped.push(`${name} (expected ${formatShape(shape)}, file has ${formatShape(found.shape)})`);
    }
  }
  return { missing, misshaped, extra: [...table.keys()].filter((name) => !declared.has(name)) };
}

/** Throws {@link WeightsMismatchError} listing every missing, mis-shaped and extra name. */
export function requireWeights(
  where: string,
  declared: ReadonlyMap<string, { readonly shape: Shape }>,
  table: ReadonlyMap<string, { readonly shape: Shape }>,
  ignoredExtras: (name: string) => boolean = () => false,
): void {
  const { missing, misshaped, extra } = compareWeights(declared, table);
  const unknown = extra.filter((name) => !ignoredExtras(name));
  const parts = [
    missing.length ? `missing: ${missing.join(', ')}` : '',
    misshaped.length ? `other shape: ${misshaped.join(', ')}` : '',
    unknown.length ? `not part of the model: ${unknown.join(', ')}` : '',
  ].filter(Boolean);
  if (parts.length === 0) return;
  throw new WeightsMismatchError({
    where,
    expected: `exactly the ${declared.size} tensors of the model`,
    got: parts.join('; '),
    hint: 'check that the config.json beside the weights is the one they were trained with',
  });
}

/** The folder onnxruntime resolves weight locations in: the root, so that every absolute path lies inside. */
const EXTERNAL_ROOT = resolve('/');

export interface BoundWeights {
  readonly locations: ReadonlyMap<string, WeightLocation>;
  readonly externalRoot: string;
}

/**
 * Binds a program's weights to their bytes. onnxruntime trusts offsets blindly, so each region is
 * checked here against the dtype, the shape and the size of its file.
 */
export function bindWeights(traced: Program, table: WeightTable): BoundWeights {
  const needed = new Map([...traced.weights].map(([name, value]) => [name, { shape: value.shape }]));
  requireWeights(`program ${traced.name}`, needed, table, () => true);
  const fileSizes = new Map<string, number>();
  const locations = new Map<string, WeightLocation>();
  for (const name of needed.keys()) {
    const found = table.get(name)!;
    if ('data' in found) {
      locations.set(name, { kind: 'host', tensor: found });
      continue;
    }
    let fileSize = fileSizes.get(found.file);
    if (fileSize === undefined) {
      fileSize = statSync(found.file).size;
      fileSizes.set(found.file, fileSize);
    }
    const { byteOffset, byteLength, dtype, shape } = found;
    const fits = isAbsolute(found.file) && byteOffset >= 0 && byteOffset + byteLength <= fileSize;
    if (!fits || byteLength !== sizeOf(shape) * DTYPE_SIZE_BYTES[dtype]) {
      throw new FileFormatError({
        where: `${found.file}, tensor ${name}`,
        expected: `${dtype}${formatShape(shape)} inside a file of ${fileSize} bytes`,
        got: `${byteLength} bytes at offset ${byteOffset}`,
        hint: 'the file may have been replaced or cut since it was opened',
      });
    }
    const location = relative(EXTERNAL_ROOT, found.file);
    locations.set(name, { kind: 'file', location, byteOffset, byteLength, dtype, shape });
  }
  return { locations, externalRoot: EXTERNAL_ROOT };
}
