import { z } from 'zod';
import { METHOD_NAMES, type Method, openMethod } from '../methods/index.ts';
import type { TransformerConfig } from '../models/cogvideox/transformer/index.ts';
import { requireWeights } from '../runtime/index.ts';
import { FileFormatError } from '../tensor/errors.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import { readSafetensorsContents, writeSafetensorsFile } from '../tensor/safetensors.ts';
import { parseStrictJson } from '../tensor/strict-json.ts';
import { type AdapterDType, storedTensor } from './adapter-file.ts';
import { encodeJson, type JsonObject } from './plain-json.ts';
import { reportingFullDisk } from './storage-error.ts';

/** What any method has trained, with all that is needed to use it. */
export interface MethodFile {
  readonly path: string;
  readonly method: Method;
  /** In the dtypes of the file. */
  readonly tensors: ReadonlyMap<string, HostTensor>;
  readonly header: MethodFileHeader;
}

const headerSchema = z.strictObject({
  version: z.literal(1),
  method: z.enum(METHOD_NAMES),
  options: z.record(z.string(), z.json()),
  base: z.strictObject({ name: z.string().nullable(), hash: z.string().nullable() }),
  /** How the run went: data, stages, steps, sizes. */
  record: z.record(z.string(), z.json()),
});

export type MethodFileHeader = z.infer<typeof headerSchema>;

const HEADER_KEY = 'dualreal-method';

/**
 * Writes everything a method trains on a base, under the names it has in the model. A set that is not
 * complete, or that holds NaN or infinities, is refused before anything is written.
 */
export async function writeMethodFile(
  path: string,
  contents: {
    readonly method: Method;
    readonly config: TransformerConfig;
    readonly tensors: ReadonlyMap<string, HostTensor>;
    readonly base: MethodFileHeader['base'];
    readonly record: JsonObject;
  },
  dtype: AdapterDType = 'f32',
): Promise<void> {
  const { method, config, tensors, base, record } = contents;
  const declared = method.parameters(config);
  requireWeights(path, declared, tensors);
  const ordered = new Map<string, HostTensor>();
  let sizeBytes = 0;
  for (const name of declared.keys()) {
    const stored = storedTensor(tensors.get(name)!, dtype, `${path}: tensor ${name}`);
    sizeBytes += stored.data.byteLength;
    ordered.set(name, stored);
  }
  const metadata = { format: 'pt', ...methodMetadata(method, base, record) };
  await reportingFullDisk(path, sizeBytes, () => writeSafetensorsFile(path, ordered, metadata));
}

/** Metadata of a file that tell with which method, on what and how its tensors were trained. */
export function methodMetadata(
  { name: method, options }: Pick<Method, 'name' | 'options'>,
  base: MethodFileHeader['base'],
  record: JsonObject,
): Record<string, string> {
  return { [HEADER_KEY]: encodeJson({ version: 1, method, options, base, record }, 'method file') };
}

/** What {@link methodMetadata} gave; undefined where a file has none. */
export function parseMethodMetadata(
  metadata: Readonly<Record<string, string>>,
  path: string,
): MethodFileHeader | undefined {
  const json = metadata[HEADER_KEY];
  if (json === undefined) return undefined;
  const where = `${path}: metadata ${HEADER_KEY}`;
  const parsed = headerSchema.safeParse(parseStrictJson(new TextEncoder().encode(json), where));
  if (parsed.success) return parsed.data;
  throw new FileFormatError({
    where,
    expected: 'a method file of version 1',
    got: parsed.error.issues.map((issue) => `${issue.path.join('.') || 'it'}: ${issue.message}`).join('; '),
  });
}

/** Reads a method file; {@link requireMethodFits} says whether it is complete for a base. */
export async function readMethodFile(path: string): Promise<MethodFile> {
  const { tensors, metadata } = await readSafetensorsContents(path);
  const header = parseMethodMetadata(metadata, path);
  if (header === undefined) {
    const where = `${path}: metadata ${HEADER_KEY}`;
    throw new FileFormatError({ where, expected: 'how the tensors were trained', got: 'nothing' });
  }
  return { path, method: openMethod(header.method, header.options), tensors, header };
}

/**
 * Throws where a file's tensors are not exactly those that its method trains on a base, listing every one.
 * Returns warnings: a base of the same shape but another hash gives other results.
 */
export function requireMethodFits(
  { path, method, tensors, header }: MethodFile,
  config: TransformerConfig,
  baseHash?: string,
): string[] {
  requireWeights(path, method.parameters(config), tensors);
  const { name, hash } = header.base;
  if (hash === null || baseHash === undefined || hash === baseHash) return [];
  return [
    `${path} was trained on another base (${name ?? 'unnamed'}) of the same shape: results will differ`,
  ];
}
