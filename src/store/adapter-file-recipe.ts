import { z } from 'zod';
import { DUALREAL_PRESETS, type DualRealPreset, dualRealOptionsSchema } from '../methods/dualreal/index.ts';
import { FileFormatError } from '../tensor/errors.ts';
import { parseStrictJson } from '../tensor/strict-json.ts';
import { encodeJson } from './plain-json.ts';

const count = z.number().int().positive();
const presetNames = Object.keys(DUALREAL_PRESETS) as [DualRealPreset, ...DualRealPreset[]];

/** What was learned from: captions, and how many of what (photos, clips, frames). */
const sourceSchema = z.strictObject({
  prompts: z.array(z.string()),
  counts: z.record(z.string(), z.number().int().nonnegative()),
});

/** Files written before there was a floor had none. */
function withFloor(options: unknown): unknown {
  return typeof options === 'object' ? { weightFloor: 0, ...options } : options;
}

/**
 * How an adapter came about, carried inside its file, so that the file alone is enough to use it. What is
 * not known of an imported file is null.
 */
export const adapterRecipeSchema = z.strictObject({
  version: z.literal(1),
  options: z.preprocess(withFloor, dualRealOptionsSchema),
  /** The preset that `options` started from. */
  preset: z.enum(presetNames),
  base: z.strictObject({
    name: z.string().nullable(),
    /** Hash of the base transformer's weights. */
    hash: z.string().nullable(),
    blocks: count,
    width: count,
  }),
  training: z
    .object({
      steps: z.number().int().nonnegative(),
      seed: z.number().int().nonnegative(),
      learningRate: z.number().nonnegative(),
      motionRatio: z.number().min(0).max(1),
    })
    .catchall(z.json())
    .nullable(),
  subject: sourceSchema.nullable(),
  motion: sourceSchema.nullable(),
  /** Clip size trained at, in pixels and frames. */
  size: z.strictObject({ frames: count, height: count, width: count, fps: z.number().positive() }).nullable(),
  createdWith: z.string(),
  /** Present where the condition was folded into the weights (src/methods/dualreal/fold.ts). */
  folded: z
    .strictObject({
      form: z.enum(['separate', 'fused']),
      reference: z.strictObject({
        /** SHA-256 of the f32 image embedding. */
        embeddingHash: z.string(),
        /** File name of the reference image, where it came from one. */
        image: z.string().nullable(),
      }),
    })
    .optional(),
});

export type AdapterRecipe = z.infer<typeof adapterRecipeSchema>;

/** Key of a safetensors file's metadata that holds the recipe. */
export const RECIPE_KEY = 'dualreal';

export function encodeRecipe(recipe: AdapterRecipe): string {
  return encodeJson(parseRecipeValue(recipe, 'adapter recipe'), 'adapter recipe');
}

/** Throws {@link FileFormatError} naming the field that does not fit. */
export function parseRecipe(json: string, path: string): AdapterRecipe {
  const where = `${path}: recipe`;
  return parseRecipeValue(parseStrictJson(new TextEncoder().encode(json), where), where);
}

function parseRecipeValue(value: unknown, where: string): AdapterRecipe {
  const version = typeof value === 'object' && value !== null ? Reflect.get(value, 'version') : undefined;
  if (typeof version === 'number' && version > 1) {
    throw new FileFormatError({
      where,
      expected: 'version 1',
      got: `version ${version}`,
      hint: 'the file was written by a newer version of dualreal: update to read it',
    });
  }
  const parsed = adapterRecipeSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new FileFormatError({
    where,
    expected: 'an adapter recipe of version 1',
    got: parsed.error.issues.map((issue) => `${issue.path.join('.') || 'it'}: ${issue.message}`).join('; '),
  });
}
