import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { METRIC_NAMES, type MetricValue } from '../evaluation/index.ts';
import { encodeJson } from '../store/plain-json.ts';
import { writeFileAtomic } from '../tensor/atomic-file.ts';
import { FileFormatError } from '../tensor/errors.ts';
import { parseStrictJson } from '../tensor/strict-json.ts';
import type { VideoReport } from '../workflows/evaluate-report.ts';
import type { BenchCase, BenchPlan } from './plan.ts';

const settings = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));

const valueSchema = z.strictObject({
  metric: z.enum(METRIC_NAMES),
  value: z.number(),
  encoder: z.strictObject({
    name: z.string(),
    source: z.string(),
    hash: z.string().optional(),
    settings,
  }),
  settings,
});

const resultSchema = z.strictObject({
  version: z.literal(1),
  case: z.string(),
  variant: z.string(),
  /** Which of the case's prompts, from 0. */
  prompt: z.number().int().nonnegative(),
  text: z.string(),
  seed: z.number().int(),
  /** Path inside the benchmark's folder. */
  video: z.string(),
  frames: z.number().int(),
  width: z.number().int(),
  height: z.number().int(),
  fps: z.number(),
  values: z.array(valueSchema),
  missing: z.array(z.strictObject({ metric: z.enum(METRIC_NAMES), reason: z.string() })),
  /** Identity weight of each group at each denoising step, where a controller decided it. */
  controller: z
    .strictObject({ timesteps: z.array(z.number()), identityWeights: z.array(z.array(z.number())) })
    .optional(),
});

/** Everything measured of one video: one file for each (case, row, prompt), written whole, without times. */
export interface BenchResult
  extends Pick<VideoReport, 'frames' | 'width' | 'height' | 'fps' | 'values' | 'missing'> {
  readonly version: 1;
  readonly case: string;
  readonly variant: string;
  readonly prompt: number;
  readonly text: string;
  readonly seed: number;
  readonly video: string;
  readonly controller?: ControllerCurve;
}

export interface ControllerCurve {
  /** Falling. */
  readonly timesteps: readonly number[];
  /** [step][group] */
  readonly identityWeights: readonly (readonly number[])[];
}

export function resultPath(folder: string, caseId: string, variant: string, prompt: number): string {
  return join(folder, 'results', caseId, variant, `${String(prompt).padStart(2, '0')}.json`);
}

export async function writeResult(folder: string, result: BenchResult): Promise<void> {
  const path = resultPath(folder, result.case, result.variant, result.prompt);
  await mkdir(dirname(path), { recursive: true });
  await writeFileAtomic(path, `${encodeJson(result, path)}\n`);
}

/** Prompts of a case that a row has no result of yet. */
export function missingPrompts(folder: string, { id, prompts }: BenchCase, variant: string): number[] {
  return [...prompts.keys()].filter((prompt) => !existsSync(resultPath(folder, id, variant, prompt)));
}

/** Every result of a plan that is there. */
export async function readResults(folder: string, plan: BenchPlan): Promise<BenchResult[]> {
  const results: BenchResult[] = [];
  for (const benchCase of plan.cases) {
    for (const { id: variant } of plan.variants) {
      const missing = new Set(missingPrompts(folder, benchCase, variant));
      for (const prompt of benchCase.prompts.keys()) {
        if (!missing.has(prompt)) results.push(await readResult(folder, benchCase.id, variant, prompt));
      }
    }
  }
  return results;
}

export async function readResult(
  folder: string,
  caseId: string,
  variant: string,
  prompt: number,
): Promise<BenchResult> {
  const path = resultPath(folder, caseId, variant, prompt);
  const parsed = resultSchema.safeParse(parseStrictJson(await readFile(path), path));
  const refuse = (got: string) =>
    new FileFormatError({
      where: path,
      expected: `the result of ${caseId}, ${variant}, prompt ${prompt}`,
      got,
      hint: 'delete the file, and --resume measures the video again',
    });
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw refuse(`${issue.path.join('.') || 'it'}: ${issue.message}`);
  }
  const { data } = parsed;
  if (data.case !== caseId || data.variant !== variant || data.prompt !== prompt) {
    throw refuse(`that of ${data.case}, ${data.variant}, prompt ${data.prompt}`);
  }
  const { controller, values, ...rest } = data;
  return {
    ...rest,
    values: values.map(({ encoder: { hash, ...encoder }, ...value }): MetricValue => {
      return { ...value, encoder: { ...encoder, ...(hash !== undefined && { hash }) } };
    }),
    ...(controller && { controller }),
  };
}
