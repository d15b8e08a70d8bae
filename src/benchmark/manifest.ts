import { readFile } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { z } from 'zod';
import { listDataset } from '../store/dataset.ts';
import { requireSafeName } from '../store/safe-name.ts';
import { DualrealError } from '../tensor/errors.ts';
import { parseStrictJson } from '../tensor/strict-json.ts';
import { absoluteBase, EMBEDDED_BASE } from '../workflows/base-location.ts';
import { BenchmarkError } from './benchmark-error.ts';
import type { BenchCase } from './plan.ts';

const words = z.string().trim().min(1);
const prompts = z
  .array(words)
  .min(1)
  .refine((list) => new Set(list).size === list.length, 'no prompt twice');

const manifestSchema = z.strictObject({
  version: z.literal(1),
  /** A folder, from the manifest's own, or the word for the embedded base; an option goes before it. */
  base: words.optional(),
  /** Captioned clips of anything, which MotionBooth learns from beside the subject. */
  generic: words.optional(),
  /** Prompts of all cases that have none of their own; {subject} stands for the case's class word. */
  prompts: prompts.optional(),
  cases: z
    .array(
      z.strictObject({
        /** Default: the folders' names, joined. */
        id: words.optional(),
        /** Photos of the subject, clips of the motion: folders, from the manifest's own. */
        subject: words,
        motion: words,
        /** What the subject is, e.g. "dog": the word for it in captions and prompts. */
        classWord: words.optional(),
        /** Words that stand for the subject in captions and prompts, where they are not the class word. */
        subjectWord: words.optional(),
        subjectPrompt: words.optional(),
        motionPrompt: words.optional(),
        prompts: prompts.optional(),
      }),
    )
    .min(1),
});

type ManifestCase = z.infer<typeof manifestSchema>['cases'][number];

export interface Manifest {
  readonly file: string;
  readonly base: string | undefined;
  readonly generic: string | undefined;
  readonly cases: readonly BenchCase[];
}

/** Reads the cases of a manifest and looks whether what they name is there; every problem is told at once. */
export async function readManifest(file: string): Promise<Manifest> {
  const path = resolve(file);
  const bytes = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    throw new BenchmarkError({
      where: file,
      expected: 'a manifest',
      got: `an unreadable file (${cause.code})`,
      cause,
    });
  });
  const parsed = manifestSchema.safeParse(parseStrictJson(bytes, file));
  if (!parsed.success) {
    throw invalid(
      file,
      parsed.error.issues.map(({ path: at, message }) => `${at.join('.') || 'it'}: ${message}`),
    );
  }
  const { data } = parsed;
  const from = (name: string) => resolve(dirname(path), name);
  const problems: string[] = [];
  const cases: BenchCase[] = [];
  const ids = new Set<string>();
  for (const [index, each] of data.cases.entries()) {
    const settled = settle(each, data.prompts, from);
    if (typeof settled === 'string') problems.push(`cases.${index}: ${settled}`);
    else if (ids.has(settled.id)) problems.push(`cases.${index}: two cases are called ${settled.id}`);
    else {
      ids.add(settled.id);
      cases.push(settled);
    }
  }
  const folders = new Set(cases.flatMap(({ photos, clips }) => [photos, clips]));
  if (data.generic !== undefined) folders.add(from(data.generic));
  for (const folder of folders) {
    const problem = await problemOf(folder);
    if (problem !== undefined) problems.push(problem);
  }
  if (problems.length > 0) throw invalid(file, problems);
  const base = data.base === EMBEDDED_BASE ? EMBEDDED_BASE : data.base && absoluteBase(from(data.base));
  return { file: path, base, generic: data.generic && from(data.generic), cases };
}

/** The case as plans have it, or what is wrong with it. */
function settle(
  each: ManifestCase,
  shared: readonly string[] | undefined,
  from: (name: string) => string,
): BenchCase | string {
  const { classWord, subjectPrompt, motionPrompt } = each;
  const [photos, clips] = [from(each.subject), from(each.motion)];
  const id = each.id ?? `${slug(basename(photos))}-${slug(basename(clips))}`;
  try {
    requireSafeName(id, 'id');
  } catch (error) {
    if (error instanceof DualrealError) return error.message;
    throw error;
  }
  const list = each.prompts ?? shared;
  if (list === undefined) return 'no prompts, neither its own nor shared ones';
  if (classWord === undefined && list.some((prompt) => prompt.includes('{subject}'))) {
    return 'a prompt has {subject}, but the case has no classWord';
  }
  const subjectWord = each.subjectWord ?? classWord;
  return {
    id,
    subject: photos,
    motion: clips,
    photos,
    clips,
    ...(classWord !== undefined && { classWord }),
    ...(subjectWord !== undefined && { subjectWord }),
    ...(subjectPrompt !== undefined && { subjectPrompt }),
    ...(motionPrompt !== undefined && { motionPrompt }),
    prompts: list.map((prompt) => prompt.replaceAll('{subject}', classWord ?? '')),
  };
}

function slug(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 30);
}

async function problemOf(folder: string): Promise<string | undefined> {
  try {
    const { files } = await listDataset(folder);
    return files.length > 0 ? undefined : `${folder}: no photos and no clips`;
  } catch (error) {
    if (error instanceof DualrealError) return error.message;
    throw error;
  }
}

function invalid(file: string, problems: readonly string[]): BenchmarkError {
  const shown = problems.slice(0, 8).map((problem) => `\n  ${problem.replaceAll('\n', '\n  ')}`);
  const more = problems.length > 8 ? `\n  and ${problems.length - 8} more` : '';
  return new BenchmarkError({
    where: file,
    expected: 'a manifest of cases (docs/benchmark.md)',
    got: `${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}:${shown.join('')}${more}`,
  });
}
