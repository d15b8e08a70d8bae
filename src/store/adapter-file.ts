import type { DualRealOptions, DualRealPreset } from '../methods/dualreal/index.ts';
import { DUALREAL_PRESETS } from '../methods/dualreal/index.ts';
import { type DualRealShape, expectedTensors, inferDualRealShape } from '../methods/dualreal/layout.ts';
import type { TransformerConfig } from '../models/cogvideox/transformer/index.ts';
import { type DType, fromFloat32 } from '../tensor/dtype.ts';
import { DualrealError, FileFormatError } from '../tensor/errors.ts';
import { withFile } from '../tensor/file-range.ts';
import { asFloats, type HostTensor } from '../tensor/host-tensor.ts';
import { readSafetensorsContents, writeSafetensorsFile } from '../tensor/safetensors.ts';
import { type AdapterRecipe, encodeRecipe, parseRecipe, RECIPE_KEY } from './adapter-file-recipe.ts';
import { openPth } from './pickle/pth.ts';
import { reportingFullDisk } from './storage-error.ts';

export { type DualRealShape, inferDualRealShape } from '../methods/dualreal/layout.ts';
export { type AdapterRecipe, adapterRecipeSchema } from './adapter-file-recipe.ts';

/** Storage of an adapter file; 'keep' leaves each tensor in the dtype it has. */
export type AdapterDType = 'f32' | 'bf16' | 'f16' | 'keep';

/** A set of adapters as read from a file: complete, and of one shape. */
export interface AdapterFile {
  readonly path: string;
  readonly source: 'safetensors' | 'pth';
  /** In the dtypes of the file. */
  readonly tensors: ReadonlyMap<string, HostTensor>;
  readonly shape: DualRealShape;
  /** Absent in files that dualreal did not write. */
  readonly recipe?: AdapterRecipe;
}

/** Adapters that cannot be used with a base, or cannot be written as asked. */
export class AdapterMismatchError extends DualrealError {}

const FLOAT_DTYPES: readonly DType[] = ['f32', 'bf16', 'f16', 'f64'];
const ZIP_OR_PICKLE = [0x50, 0x80];
/** From here on rounding to f16 gives infinity. */
const F16_OVERFLOW = 65520;

/**
 * Writes `adapter.safetensors`: the release's tensor names, in its order, and the recipe in the metadata.
 * Equal tensors and recipes give equal files. A set that is not complete, that does not fit its recipe or
 * that holds NaN or infinities (f16 overflows at 65504) is refused before anything is written.
 */
export async function writeAdapterFile(
  path: string,
  tensors: ReadonlyMap<string, HostTensor>,
  recipe: AdapterRecipe,
  dtype: AdapterDType = 'f32',
): Promise<void> {
  const shape = inferDualRealShape(tensors, path);
  requireRecipeOfShape(recipe, shape, path);
  const ordered = new Map<string, HostTensor>();
  let sizeBytes = 0;
  for (const name of expectedTensors(shape).keys()) {
    const stored = storedTensor(tensors.get(name)!, dtype, `${path}: tensor ${name}`);
    sizeBytes += stored.data.byteLength;
    ordered.set(name, stored);
  }
  const metadata = { format: 'pt', [RECIPE_KEY]: encodeRecipe(recipe) };
  await reportingFullDisk(path, sizeBytes, () => writeSafetensorsFile(path, ordered, metadata));
}

/**
 * Reads an adapter file of ours or of the official release (`adapter.pth`, never running its pickle; told
 * apart by contents, not by name). The set must be complete, and fit its recipe where it has one.
 */
export async function readAdapterFile(path: string): Promise<AdapterFile> {
  const source = await adapterSource(path);
  if (source === 'pth') {
    const file = await openPth(path);
    const shape = inferDualRealShape(file.tensors, path);
    const tensors = await file.readAll();
    requireFloats(tensors, path);
    return { path, source, tensors, shape };
  }
  const { tensors, metadata } = await readSafetensorsContents(path);
  const shape = inferDualRealShape(tensors, path);
  requireFloats(tensors, path);
  const json = metadata[RECIPE_KEY];
  if (json === undefined) return { path, source, tensors, shape };
  const recipe = parseRecipe(json, path);
  requireRecipeOfShape(recipe, shape, path);
  return { path, source, tensors, shape, recipe };
}

/** A preset's options with the extents that a file without a recipe has. */
export function optionsOfShape(preset: DualRealPreset, shape: DualRealShape): DualRealOptions {
  const options: DualRealOptions = DUALREAL_PRESETS[preset];
  const { bottleneck, groups, placement, conditionDim } = shape;
  if (options.placement !== placement) {
    throw new AdapterMismatchError({
      where: `preset ${preset}`,
      expected: `adapters ${options.placement === 'sites' ? 'at two sites of each block' : 'at one site of each block'}`,
      got: `adapters at ${placement === 'sites' ? 'two sites' : 'one site'}`,
      hint: `choose the preset that the adapters were trained with`,
    });
  }
  return { ...options, bottleneck, groups, ...(conditionDim > 0 && { conditionDim }) };
}

/**
 * Throws {@link AdapterMismatchError} where adapters cannot run on a base. Returns warnings: adapters
 * trained on another base of the same shape run, but were not made for it.
 */
export function requireAdapterFitsBase(
  { path, shape, recipe }: Pick<AdapterFile, 'path' | 'shape' | 'recipe'>,
  config: TransformerConfig,
  baseHash?: string,
): string[] {
  const facts = [
    { what: 'blocks', adapter: shape.blocks, base: config.blocks },
    { what: 'width', adapter: shape.width, base: config.width },
    ...(shape.groups > 0
      ? [{ what: 'time embedding', adapter: shape.timeEmbeddingDim, base: config.timeEmbeddingDim }]
      : []),
  ];
  const different = facts.filter(({ adapter, base }) => adapter !== base);
  const trainedOn = recipe?.base.name ? ` (${recipe.base.name})` : '';
  if (different.length > 0) {
    throw new AdapterMismatchError({
      where: path,
      expected: `adapters for this base: ${facts.map(({ what, base }) => `${what} ${base}`).join(', ')}`,
      got: different.map(({ what, adapter }) => `${what} ${adapter}`).join(', ') + trainedOn,
      hint: `use the base that the adapters were trained on${trainedOn}`,
    });
  }
  const trainedHash = recipe?.base.hash;
  if (!trainedHash || baseHash === undefined || trainedHash === baseHash) return [];
  return [
    `${path} was trained on another base${trainedOn} of the same shape ` +
      `(hash ${trainedHash.slice(0, 12)}…, this one is ${baseHash.slice(0, 12)}…): results will differ`,
  ];
}

/** Whether a file is torch's or (like everything else) to be read as safetensors; its name is not asked. */
export async function adapterSource(path: string): Promise<AdapterFile['source']> {
  const { bytesRead, buffer } = await withFile(path, (file) => file.read(new Uint8Array(9), 0, 9, 0));
  // A safetensors file has '{' after its header length; a torch.save file starts a zip or a pickle.
  if (bytesRead === 9 && buffer[8] === 0x7b) return 'safetensors';
  if (bytesRead > 0 && ZIP_OR_PICKLE.includes(buffer[0])) return 'pth';
  return 'safetensors';
}

function requireFloats(tensors: ReadonlyMap<string, HostTensor>, path: string): void {
  for (const [name, { dtype }] of tensors) {
    if (FLOAT_DTYPES.includes(dtype)) continue;
    throw new FileFormatError({ where: `${path}: tensor ${name}`, expected: 'floating point', got: dtype });
  }
}

function requireRecipeOfShape(recipe: AdapterRecipe, shape: DualRealShape, path: string): void {
  const { options, base, folded } = recipe;
  const facts: [string, unknown, unknown][] = [
    ['base.blocks', base.blocks, shape.blocks],
    ['base.width', base.width, shape.width],
    ['options.bottleneck', options.bottleneck, shape.bottleneck],
    ['options.groups', options.groups, shape.groups],
    ['options.placement', options.placement, shape.placement],
    ['options.conditionDim', folded ? 0 : options.conditionDim, shape.conditionDim],
    ['folded.form', folded?.form ?? 'separate', shape.form],
  ];
  const wrong = facts.filter(([, stated, found]) => stated !== found);
  if (wrong.length === 0) return;
  throw new AdapterMismatchError({
    where: path,
    expected: `tensors as the recipe says: ${wrong.map(([field, stated]) => `${field} ${stated}`).join(', ')}`,
    got: wrong.map(([, , found]) => String(found)).join(', '),
  });
}

/**
 * A tensor in another storage dtype. Throws {@link AdapterMismatchError} where it holds NaN or infinities,
 * or would after the conversion.
 */
export function storedTensor(tensor: HostTensor, dtype: AdapterDType, where: string): HostTensor {
  const { data: values } = asFloats(tensor);
  let largest = 0;
  for (const value of values) {
    if (!Number.isFinite(value)) {
      throw new AdapterMismatchError({ where, expected: 'finite values', got: String(value) });
    }
    largest = Math.max(largest, Math.abs(value));
  }
  if (dtype === 'keep' || dtype === tensor.dtype) return tensor;
  if (dtype === 'f16' && largest >= F16_OVERFLOW) {
    throw new AdapterMismatchError({
      where,
      expected: 'values that f16 can hold (up to 65504)',
      got: String(largest),
      hint: 'write bf16 or f32 instead',
    });
  }
  return { dtype, shape: tensor.shape, data: fromFloat32(dtype, values) };
}
