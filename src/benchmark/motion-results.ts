import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { encodeJson } from '../store/plain-json.ts';
import { writeFileAtomic } from '../tensor/atomic-file.ts';
import { FileFormatError } from '../tensor/errors.ts';
import { parseStrictJson } from '../tensor/strict-json.ts';
import type { BenchCase, BenchPlan } from './plan.ts';
import { missingPrompts, resultPath } from './result.ts';

const count = z.number().int().nonnegative();

const recognised = { clips: count, right: count, rightOfHeldOut: count };

const examSchema = z.strictObject({
  version: z.literal(1),
  /** Answers to be had. */
  classes: z.array(z.string()),
  /** Rendered clips of each class that were learnt from. */
  lessons: count,
  exam: z.array(
    z.strictObject({
      motion: z.string(),
      ...recognised,
      throughCodec: z.strictObject(recognised).optional(),
    }),
  ),
});

const judgedSchema = z.strictObject({
  version: z.literal(1),
  case: z.string(),
  clips: z.array(
    z.strictObject({ variant: z.string(), prompt: count, motion: z.string(), heldOut: z.string() }),
  ),
});

/** The motion classifier, and how well it does on rendered clips. */
export type ExamRecord = z.infer<typeof examSchema>;
/** What the clips of a case were taken for. */
export type JudgedCase = z.infer<typeof judgedSchema>;
export type JudgedClip = JudgedCase['clips'][number];

/** What is known about motions: nothing before the first case has been judged. */
export interface MotionRecord {
  readonly exam?: ExamRecord;
  readonly cases: readonly JudgedCase[];
}

const FOLDER = 'motions';

const examPath = (folder: string): string => join(folder, FOLDER, 'exam.json');
const judgedPath = (folder: string, caseId: string): string =>
  join(folder, FOLDER, 'cases', `${caseId}.json`);

/** A video that has a result, by its row and prompt. */
interface Place {
  readonly variant: string;
  readonly prompt: number;
}

/** Videos of a case that have results, in the plan's order. */
export function judgeableClips(folder: string, plan: BenchPlan, benchCase: BenchCase): Place[] {
  return plan.variants.flatMap(({ id: variant }) => {
    const missing = new Set(missingPrompts(folder, benchCase, variant));
    return [...benchCase.prompts.keys()].flatMap((prompt) =>
      missing.has(prompt) ? [] : { variant, prompt },
    );
  });
}

/** Whether a case has results that were not judged. */
export async function needsJudging(folder: string, plan: BenchPlan, benchCase: BenchCase): Promise<boolean> {
  const clips = judgeableClips(folder, plan, benchCase);
  if (clips.length === 0) return false;
  const judged = await readJudged(folder, benchCase.id);
  return (
    !existsSync(examPath(folder)) || !clips.every((clip) => judged?.clips.some((each) => isAt(each, clip)))
  );
}

function isAt(judged: JudgedClip, { variant, prompt }: Place): boolean {
  return judged.variant === variant && judged.prompt === prompt;
}

export async function writeExam(folder: string, exam: ExamRecord): Promise<void> {
  await writeRecord(examPath(folder), exam);
}

export async function writeJudged(folder: string, judged: JudgedCase): Promise<void> {
  await writeRecord(judgedPath(folder, judged.case), judged);
}

async function writeRecord(path: string, record: ExamRecord | JudgedCase): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFileAtomic(path, `${encodeJson(record, path)}\n`);
}

/** Everything of a plan that was judged; of results that are still there. */
export async function readMotions(folder: string, plan: BenchPlan): Promise<MotionRecord> {
  const exam = await readRecord(examPath(folder), examSchema);
  const cases: JudgedCase[] = [];
  for (const { id } of plan.cases) {
    const judged = await readJudged(folder, id);
    if (!judged) continue;
    const clips = judged.clips.filter(({ variant, prompt }) =>
      existsSync(resultPath(folder, id, variant, prompt)),
    );
    cases.push({ ...judged, clips });
  }
  return { ...(exam && { exam }), cases };
}

async function readJudged(folder: string, caseId: string): Promise<JudgedCase | undefined> {
  return readRecord(judgedPath(folder, caseId), judgedSchema);
}

async function readRecord<Record>(path: string, schema: z.ZodType<Record>): Promise<Record | undefined> {
  if (!existsSync(path)) return undefined;
  const parsed = schema.safeParse(parseStrictJson(await readFile(path), path));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new FileFormatError({
    where: path,
    expected: 'what clips were taken for',
    got: `${issue.path.join('.') || 'it'}: ${issue.message}`,
    hint: 'delete the file, and --resume judges the clips again',
  });
}
