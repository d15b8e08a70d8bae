import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { encodeJson, type JsonObject } from '../store/plain-json.ts';
import { requireSafeName } from '../store/safe-name.ts';
import { writeFileAtomic } from '../tensor/atomic-file.ts';
import { FileFormatError } from '../tensor/errors.ts';
import { parseStrictJson } from '../tensor/strict-json.ts';
import { methodRatesSchema } from '../workflows/base.ts';
import { BenchmarkError } from './benchmark-error.ts';
import { benchRequestSchema } from './request.ts';
import { stagesOf, type Variant } from './variants.ts';

const text = z.string().min(1);
const safeName = text.refine((name) => {
  requireSafeName(name, 'plan');
  return true;
});

const caseSchema = z.strictObject({
  /** Names its folders. */
  id: safeName,
  subject: text,
  motion: text,
  /** Photos, clips: files or folders. Those of the universe lie in the benchmark's own folder. */
  photos: text,
  clips: text,
  /** Words that stand for the subject in captions and prompts. */
  subjectWord: text.optional(),
  classWord: text.optional(),
  /** Captions of all photos, of all clips, where files have none of their own. */
  subjectPrompt: text.optional(),
  motionPrompt: text.optional(),
  prompts: z.array(text).min(1),
});

const planSchema = z.strictObject({
  version: z.literal(1),
  versions: z.record(z.string(), z.string()),
  request: benchRequestSchema,
  base: z.strictObject({
    /** As requests name it. */
    location: text,
    name: text,
    /** SHA-256 over its weights. */
    hash: text,
    blocks: z.number().int().positive(),
    /** What its card sets where a request leaves it open. Plans of older versions do not tell. */
    card: z
      .strictObject({
        guidance: z.number().nullable(),
        learningRates: methodRatesSchema,
        groupRates: methodRatesSchema,
        timestepBias: methodRatesSchema.default({}),
      })
      .optional(),
  }),
  /** Where cases come from. */
  source: z.union([
    z.strictObject({
      kind: z.literal('universe'),
      split: text,
      /** Of the photos and clips that come with dualreal, where cases are made of these. */
      filesHash: text.optional(),
      /** Of the art, where something is rendered. */
      artHash: text.optional(),
      of: z.number().int(),
    }),
    z.strictObject({ kind: z.literal('manifest'), file: text, of: z.number().int() }),
  ]),
  /** Frames of a video: of the base's nominal sample, or as asked. */
  frames: z.number().int().positive(),
  fps: z.number().positive(),
  /** Captioned clips of anything, for the method that asks for them. */
  generic: text.optional(),
  cases: z.array(caseSchema).min(1),
  variants: z
    .array(
      z.strictObject({
        id: safeName,
        title: text,
        train: z.record(z.string(), z.json()),
        untrained: z.boolean().optional(),
      }),
    )
    .min(1),
});

/** Everything settled before the first case; what a benchmark's folder is gone on with by. */
export interface BenchPlan extends Omit<z.infer<typeof planSchema>, 'variants'> {
  readonly variants: readonly Variant[];
}
export type BenchCase = z.infer<typeof caseSchema>;

export const PLAN_FILE = 'plan.json';

export async function writePlan(folder: string, plan: BenchPlan): Promise<void> {
  const path = join(folder, PLAN_FILE);
  await writeFileAtomic(path, `${JSON.stringify(JSON.parse(encodeJson(plan, 'plan')), null, 2)}\n`);
}

export async function readPlan(folder: string): Promise<BenchPlan> {
  const path = join(folder, PLAN_FILE);
  const bytes = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT' && cause.code !== 'ENOTDIR') throw cause;
    throw new BenchmarkError({
      where: folder,
      expected: `the folder of a benchmark, with ${PLAN_FILE}`,
      got: 'none',
      cause,
    });
  });
  const parsed = planSchema.safeParse(parseStrictJson(bytes, path));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new FileFormatError({
    where: path,
    expected: 'the plan of a benchmark, version 1',
    got: `${issue.path.join('.') || 'it'}: ${issue.message}`,
    hint: 'go on with the version of dualreal that wrote it',
  });
}

/** Fields of a row's training request: shared ones, then the row's own, then what was asked for it alone. */
export function trainingFields(plan: BenchPlan, variant: string): JsonObject {
  const { train, trainOf } = plan.request;
  const own = plan.variants.find(({ id }) => id === variant)!;
  const asked = trainOf[variant] ?? trainOf[stagesOf(variant)?.method ?? variant] ?? {};
  return [train, own.train, asked].reduce<JsonObject>(withFields, {});
}

/** Objects are joined key by key; everything else is replaced. */
function withFields(fields: JsonObject, more: JsonObject): JsonObject {
  const merged: Record<string, JsonObject[string]> = { ...fields };
  for (const [key, value] of Object.entries(more)) {
    const before = merged[key];
    merged[key] = isObject(before) && isObject(value) ? { ...before, ...value } : value;
  }
  return merged;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
