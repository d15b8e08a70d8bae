import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DualrealError, FileFormatError } from '../tensor/errors.ts';
import { objectEntries, parseStrictJson, quoteBriefly } from '../tensor/strict-json.ts';

/** A model folder that lacks files, or whose files do not belong together. Lists all of them. */
export class IncompleteFolderError extends DualrealError {}

/** The files that hold the weights of one component: one file, or shards with the index that names them. */
export interface WeightFileSet {
  /** Names of tensors and of the files they are in; absent where there is a single file. */
  readonly index?: WeightIndex;
  /** Plain file names in the folder, in the order of the index. */
  readonly fileNames: readonly string[];
}

export interface WeightIndex {
  readonly path: string;
  /** Tensor name → file name. */
  readonly places: ReadonlyMap<string, string>;
  /** Bytes of all tensors, where the index says it. */
  readonly totalSizeBytes?: number;
}

/** Names under which published models keep their weights, without extension, in order of preference. */
export const WEIGHT_BASE_NAMES: readonly string[] = [
  'diffusion_pytorch_model',
  'model',
  'open_clip_model',
  'open_clip_pytorch_model',
  'pytorch_model',
];

/** Safetensors is preferred to pickles wherever both are there. */
const EXTENSIONS = ['safetensors', 'bin', 'pth'] as const;
const LISTED_NAMES = 20;
const MAX_INDEX_BYTES = 100_000_000;

/**
 * Finds the weights in a folder of the diffusers or transformers layout; undefined where there are none.
 * A single file next to an index of the same name is refused, because either could be the stale one.
 */
export async function findWeightFiles(
  folder: string,
  baseNames: readonly string[] = WEIGHT_BASE_NAMES,
): Promise<WeightFileSet | undefined> {
  for (const extension of EXTENSIONS) {
    for (const baseName of baseNames) {
      const single = `${baseName}.${extension}`;
      const index = `${single}.index.json`;
      const hasSingle = await isFile(join(folder, single));
      if (await isFile(join(folder, index))) {
        if (hasSingle) {
          throw new IncompleteFolderError({
            where: folder,
            expected: 'one set of weights',
            got: `both ${single} and ${index}`,
            hint: 'remove the one that is out of date',
          });
        }
        const parsed = await readWeightIndex(join(folder, index));
        return { index: parsed, fileNames: [...new Set(parsed.places.values())] };
      }
      if (hasSingle) return { fileNames: [single] };
    }
  }
  return undefined;
}

/** Reads a JSON file into a plain object; UTF-8, no key twice, at most 100 MB. */
export async function readJsonObject(path: string): Promise<Map<string, unknown>> {
  const { size } = await stat(path);
  if (size > MAX_INDEX_BYTES) {
    throw new FileFormatError({ where: path, expected: `at most ${MAX_INDEX_BYTES} bytes`, got: `${size}` });
  }
  return new Map(objectEntries(parseStrictJson(await readFile(path), path), path));
}

export async function isFile(path: string): Promise<boolean> {
  return (await statOrNothing(path))?.isFile() ?? false;
}

export async function isFolder(path: string): Promise<boolean> {
  return (await statOrNothing(path))?.isDirectory() ?? false;
}

/** Names for an error message: the first twenty, and how many more there are. */
export function listNames(names: readonly string[]): string {
  const shown = names
    .slice(0, LISTED_NAMES)
    .map((name) => (/[\p{Cc},"]/u.test(name) ? quoteBriefly(name) : name));
  const rest = names.length - shown.length;
  return shown.join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}

async function readWeightIndex(path: string): Promise<WeightIndex> {
  const fields = await readJsonObject(path);
  const places = new Map<string, string>();
  for (const [name, file] of objectEntries(fields.get('weight_map'), `${path}: weight_map`)) {
    // A name from a file is never a path: it must not lead out of the folder.
    if (typeof file !== 'string' || !/^[^/\\:\0]+\.(safetensors|bin|pth)$/.test(file)) {
      throw new FileFormatError({
        where: `${path}: weight_map: ${quoteBriefly(name)}`,
        expected: 'the name of a weights file in the same folder',
        got: quoteBriefly(file),
      });
    }
    places.set(name, file);
  }
  if (places.size === 0) {
    throw new FileFormatError({ where: `${path}: weight_map`, expected: 'tensors', got: 'none' });
  }
  const facts = fields.get('metadata');
  if (facts === undefined) return { path, places };
  const totalSize = new Map(objectEntries(facts, `${path}: metadata`)).get('total_size');
  if (totalSize === undefined) return { path, places };
  if (typeof totalSize !== 'number' || !Number.isSafeInteger(totalSize) || totalSize < 0) {
    throw new FileFormatError({
      where: `${path}: metadata: total_size`,
      expected: 'a number of bytes',
      got: quoteBriefly(totalSize),
    });
  }
  return { path, places, totalSizeBytes: totalSize };
}

async function statOrNothing(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}
