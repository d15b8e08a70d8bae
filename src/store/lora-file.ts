import { z } from 'zod';
import type { Lora } from '../methods/lora/index.ts';
import { FileFormatError } from '../tensor/errors.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import { readSafetensorsContents, writeSafetensorsFile } from '../tensor/safetensors.ts';
import { formatShape } from '../tensor/shape.ts';
import { parseStrictJson, quoteBriefly } from '../tensor/strict-json.ts';
import { type AdapterDType, storedTensor } from './adapter-file.ts';
import { type MethodFileHeader, parseMethodMetadata } from './method-file.ts';
import { encodeJson } from './plain-json.ts';
import { reportingFullDisk } from './storage-error.ts';

/** A LoRA as read from a file. */
export interface LoraFile {
  readonly path: string;
  /** With the tensors in the dtypes of the file. */
  readonly lora: Lora;
  /** Where the scale came from. */
  readonly alpha: 'given' | 'metadata' | 'unknown';
  /** Of a file that dualreal wrote. */
  readonly header?: MethodFileHeader;
  /** What a user should be told about it. */
  readonly notices: readonly string[];
}

/** Key of the header metadata under which diffusers (from 0.34) keeps peft's configuration. */
const CONFIG_KEY = 'lora_adapter_metadata';
const COMPONENT = 'transformer.';
const NAME = /^(?:transformer\.)?(.+)\.lora_([AB])\.weight$/;
const FLOATS = ['f32', 'f16', 'bf16', 'f64'];

const pattern = z.record(z.string().regex(/^\^?[\w.]+$/), z.number().positive());

/** What of peft's LoraConfig decides the scale; kinds of LoRA that are not B·A are refused. */
const configSchema = z.object({
  r: z.number().int().positive().optional(),
  lora_alpha: z.number().positive().optional(),
  alpha_pattern: pattern.nullish(),
  use_rslora: z.boolean().nullish(),
  use_dora: z.literal(false).nullish(),
  lora_bias: z.literal(false).nullish(),
});

type LoraConfig = z.infer<typeof configSchema>;

/**
 * Reads a LoRA in the diffusers key layout (`transformer.<layer>.lora_A.weight` [r, in] and `lora_B` [out, r];
 * the prefix may be missing, as diffusers' save_lora_adapter leaves it). The scale alpha/r is taken from
 * `options.alpha`, else from the header's metadata; older files have none, and then, as in diffusers, the
 * scale is 1, which a notice says. Anything that is no pair of A and B is listed in one error.
 */
export async function readLoraFile(
  path: string,
  options: { readonly alpha?: number } = {},
): Promise<LoraFile> {
  const { tensors, metadata } = await readSafetensorsContents(path);
  const pairs = pairsOf(tensors, path);
  const config = configOf(metadata, path);
  const alphaOf = (layer: string, rank: number) => {
    if (options.alpha !== undefined) return options.alpha;
    const { lora_alpha: common = rank, alpha_pattern: patterns } = config ?? {};
    const own = Object.entries(patterns ?? {}).find(([name]) => isNamed(layer, name));
    return own ? own[1] : common;
  };
  const lora = new Map(
    [...pairs].map(([layer, { down, up }]) => {
      const rank = down.shape[0];
      const divisor = config?.use_rslora ? Math.sqrt(rank) : rank;
      return [layer, { down, up, scale: alphaOf(layer, rank) / divisor }] as const;
    }),
  );
  const known = config?.lora_alpha !== undefined;
  const alpha = options.alpha !== undefined ? 'given' : known ? 'metadata' : 'unknown';
  const notice = `${path} does not say its alpha: used with scale 1 (alpha = rank); give alpha if it was trained with another`;
  const header = parseMethodMetadata(metadata, path);
  return { path, lora, alpha, notices: alpha === 'unknown' ? [notice] : [], ...(header && { header }) };
}

/**
 * Writes a LoRA as diffusers' CogVideoXPipeline.load_lora_weights reads it, with peft's configuration in the
 * metadata. Updates of different scale are kept by their own alpha.
 */
export async function writeLoraFile(
  path: string,
  lora: Lora,
  dtype: AdapterDType = 'f32',
  extraMetadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const tensors = new Map<string, HostTensor>();
  const sorted = [...lora].sort(([a], [b]) => (a < b ? -1 : 1));
  let sizeBytes = 0;
  for (const [layer, { down, up }] of sorted) {
    for (const [matrix, tensor] of [
      ['A', down],
      ['B', up],
    ] as const) {
      const name = `${COMPONENT}${layer}.lora_${matrix}.weight`;
      const stored = storedTensor(tensor, dtype, `${path}: tensor ${name}`);
      sizeBytes += stored.data.byteLength;
      tensors.set(name, stored);
    }
  }
  const config = Object.entries(peftConfig(lora)).map(([key, value]) => [COMPONENT + key, value]);
  const metadata = {
    ...extraMetadata,
    format: 'pt',
    [CONFIG_KEY]: encodeJson(Object.fromEntries(config), 'LoRA metadata'),
  };
  await reportingFullDisk(path, sizeBytes, () => writeSafetensorsFile(path, tensors, metadata));
}

/** The fields of peft's LoraConfig that make the same updates again. */
function peftConfig(lora: Lora): Record<string, unknown> {
  const layers = [...lora].map(([layer, { down, scale }]) => {
    const rank = down.shape[0];
    return { layer, rank, alpha: scale * rank };
  });
  const [{ rank, alpha }] = layers;
  const others = (key: 'rank' | 'alpha', usual: number) =>
    Object.fromEntries(
      layers.filter((each) => each[key] !== usual).map((each) => [`^${each.layer}`, each[key]]),
    );
  return {
    peft_type: 'LORA',
    r: rank,
    lora_alpha: alpha,
    rank_pattern: others('rank', rank),
    alpha_pattern: others('alpha', alpha),
    target_modules: layers.map(({ layer }) => layer),
    lora_dropout: 0,
    bias: 'none',
    use_rslora: false,
    use_dora: false,
  };
}

interface Pair {
  readonly down: HostTensor;
  readonly up: HostTensor;
}

function pairsOf(tensors: ReadonlyMap<string, HostTensor>, path: string): Map<string, Pair> {
  const problems: string[] = [];
  const found = new Map<string, { A?: HostTensor; B?: HostTensor }>();
  for (const [name, tensor] of tensors) {
    const match = NAME.exec(name);
    if (!match || name.startsWith('text_encoder'))
      problems.push(`${quoteBriefly(name)} is no lora_A or lora_B`);
    else if (tensor.shape.length !== 2 || !FLOATS.includes(tensor.dtype)) {
      problems.push(`${name} is ${tensor.dtype} ${formatShape(tensor.shape)}, no matrix of floats`);
    } else {
      const [, layer, matrix] = match;
      const known = found.get(layer) ?? {};
      if (known[matrix as 'A' | 'B']) problems.push(`${layer} twice, with and without prefix`);
      found.set(layer, { ...known, [matrix]: tensor });
    }
  }
  const pairs = new Map<string, Pair>();
  for (const [layer, { A: down, B: up }] of found) {
    if (!down || !up) problems.push(`${layer} has no lora_${down ? 'B' : 'A'}`);
    else if (down.shape[0] !== up.shape[1] || down.shape[0] === 0) {
      problems.push(`${layer} has A ${formatShape(down.shape)} and B ${formatShape(up.shape)}`);
    } else pairs.set(layer, { down, up });
  }
  if (problems.length === 0 && pairs.size > 0) return pairs;
  throw new FileFormatError({
    where: path,
    expected: 'pairs of lora_A [r, in] and lora_B [out, r]',
    got: problems.length > 0 ? problems.join('; ') : 'no tensor',
    hint: 'LoRA files of CogVideoX in the diffusers layout are supported',
  });
}

/** peft's configuration in the header; undefined where there is none. */
function configOf(metadata: Readonly<Record<string, string>>, path: string): LoraConfig | undefined {
  const json = metadata[CONFIG_KEY];
  if (json === undefined) return undefined;
  const where = `${path}: metadata ${CONFIG_KEY}`;
  const value = parseStrictJson(new TextEncoder().encode(json), where);
  const entries = Object.entries(z.record(z.string(), z.unknown()).safeParse(value).data ?? {});
  const own = entries.filter(([key]) => key.startsWith(COMPONENT));
  const fields = (own.length > 0 ? own : entries).map(([key, field]) => [
    key.startsWith(COMPONENT) ? key.slice(COMPONENT.length) : key,
    field,
  ]);
  const parsed = configSchema.safeParse(Object.fromEntries(fields));
  if (parsed.success) return parsed.data;
  throw new FileFormatError({
    where,
    expected: 'a LoRA configuration of peft',
    got: parsed.error.issues.map((issue) => `${issue.path.join('.') || 'it'}: ${issue.message}`).join('; '),
  });
}

/** peft's rule: a pattern names a layer by its whole path, or by the end of it after a dot. */
function isNamed(layer: string, name: string): boolean {
  return name.startsWith('^') ? layer === name.slice(1) : layer === name || layer.endsWith(`.${name}`);
}
