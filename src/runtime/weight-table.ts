import { type BigIntStats, closeSync, openSync, readSync, realpathSync, statSync } from 'node:fs';
import { isAbsolute, parse, relative } from 'node:path';
import type { WeightLocation } from '../graph/onnx-writer.ts';
import type { Program } from '../graph/program.ts';
import { bytesOf, DTYPE_SIZE_BYTES, type DType, type TensorData } from '../tensor/dtype.ts';
import { DualrealError, FileFormatError } from '../tensor/errors.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import { formatShape, type Shape, sameShape, sizeOf } from '../tensor/shape.ts';

/** A tensor inside a file that is read in place, memory-mapped. */
export interface FileRegion {
  /** Absolute path. Symbolic links are resolved here, because onnxruntime follows none. */
  readonly file: string;
  /** What {@link fileVersion} gave when the region was found; the file must still be the same one. */
  readonly version?: string;
  readonly dtype: DType;
  readonly shape: Shape;
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** A tensor in memory, or in a file from which it is read where and when it is needed. */
export type TensorSource = FileRegion | HostTensor;
export type WeightTable = ReadonlyMap<string, TensorSource>;

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

/** Changes whenever a file is replaced or written to, as far as its size and times tell. */
export function fileVersion(path: string): string {
  return versionOf(statSync(path, { bigint: true }));
}

function versionOf({ dev, ino, size, mtimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs].join(':');
}

export interface BoundWeights {
  readonly locations: ReadonlyMap<string, WeightLocation>;
  /** The folder that the locations are relative to. */
  readonly externalRoot: string;
}

/**
 * Binds a program's weights to their bytes. onnxruntime trusts offsets blindly, so each region is checked
 * here against the dtype, the shape and the file as it is now.
 */
export function bindWeights(traced: Program, table: WeightTable): BoundWeights {
  requireWeights(`program ${traced.name}`, traced.weights, table, () => true);
  const files = new FilesInUse();
  const locations = new Map<string, WeightLocation>();
  for (const [name, declared] of traced.weights) {
    const found = table.get(name)!;
    if (found.dtype !== declared.dtype && !(declared.dtype === 'f32' && FLOATS.has(found.dtype))) {
      throw new DualrealError({ where: `weight ${name}`, expected: declared.dtype, got: found.dtype });
    }
    if ('data' in found) locations.set(name, { kind: 'host', tensor: found });
    else locations.set(name, { ...locate(name, found, files), kind: 'file' });
  }
  return { locations, externalRoot: files.root };
}

/** Throws unless every region of a file is where it was found. */
export function requireReadable(table: WeightTable): void {
  const files = new FilesInUse();
  for (const [name, source] of table) if (!('data' in source)) locate(name, source, files);
}

/** Copies a tensor's elements to `target`, an array of its dtype and size. */
export function copyElements(source: TensorSource, target: TensorData): void {
  const bytes = bytesOf(target);
  if ('data' in source) {
    bytes.set(bytesOf(source.data));
    return;
  }
  const file = openSync(source.file, 'r');
  try {
    for (let done = 0; done < bytes.byteLength; ) {
      const count = Math.min(READ_PIECE_BYTES, bytes.byteLength - done);
      const read = readSync(file, bytes, done, count, source.byteOffset + done);
      if (read === 0) {
        const [expected, got] = [
          `${bytes.byteLength} bytes at ${source.byteOffset}`,
          `the end after ${done}`,
        ];
        throw new FileFormatError({ where: source.file, expected, got, hint: REPLACED });
      }
      done += read;
    }
  } finally {
    closeSync(file);
  }
}

// Linux reads at most 2^31 − 4096 bytes per call.
const READ_PIECE_BYTES = 1 << 28;

const FLOATS: ReadonlySet<DType> = new Set(['f16', 'bf16', 'f32', 'f64']);

function locate(name: string, region: FileRegion, files: FilesInUse) {
  const { byteOffset, byteLength, dtype, shape } = region;
  const { location, sizeBytes } = files.find(region);
  const isWhole = Number.isSafeInteger(byteOffset) && byteOffset >= 0;
  const fits = isWhole && byteOffset + byteLength <= sizeBytes;
  if (!fits || byteLength !== sizeOf(shape) * DTYPE_SIZE_BYTES[dtype]) {
    throw new FileFormatError({
      where: `${region.file}, tensor ${name}`,
      expected: `${dtype}${formatShape(shape)} inside a file of ${sizeBytes} bytes`,
      got: `${byteLength} bytes at offset ${byteOffset}`,
      hint: REPLACED,
    });
  }
  return { location, byteOffset, byteLength, dtype, shape };
}

const REPLACED = 'the file may have been replaced or cut since it was opened: open it again';

interface FileInUse {
  readonly location: string;
  readonly sizeBytes: number;
  readonly version: string;
}

/** The files behind a program's weights, each looked at once. */
class FilesInUse {
  /** The root of the file system (on Windows, of the drive), so that every path lies inside. */
  root = parse(process.cwd()).root;
  private readonly known = new Map<string, FileInUse>();

  find({ file, version }: FileRegion): FileInUse {
    const found = this.known.get(file) ?? this.inspect(file);
    this.known.set(file, found);
    if (version === undefined || version === found.version) return found;
    const [expected, got] = ['the file that was opened', 'another one, or one that was written to'];
    throw new FileFormatError({ where: file, expected, got, hint: REPLACED });
  }

  private inspect(file: string): FileInUse {
    const refuse = (got: string) =>
      new FileFormatError({ where: file, expected: 'the absolute path of a file of weights', got });
    if (!isAbsolute(file)) throw refuse('a relative path');
    let path: string;
    try {
      path = realpathSync(file);
    } catch (cause) {
      throw refuse((cause as NodeJS.ErrnoException).code ?? String(cause));
    }
    const facts = statSync(path, { bigint: true });
    if (!facts.isFile()) throw refuse('a folder or a device');
    const { root } = parse(path);
    if (this.known.size === 0) this.root = root;
    else if (root !== this.root) throw refuse(`one on ${root} beside others on ${this.root}`);
    return { location: relative(root, path), sizeBytes: Number(facts.size), version: versionOf(facts) };
  }
}
