import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { isFile, isFolder } from '../store/component-files.ts';
import { listDataset } from '../store/dataset.ts';
import { readRun } from '../store/run-folder.ts';
import { DualrealError } from '../tensor/errors.ts';
import { parseStrictJson } from '../tensor/strict-json.ts';
import type { EvaluateRequest } from './evaluate-request.ts';

/** Videos or references that are not there. */
export class EvaluateError extends DualrealError {}

export interface VideoInput {
  readonly path: string;
  readonly prompt?: string;
  readonly seed?: number;
}

/** The files behind a request. */
export interface EvaluationInputs {
  readonly videos: readonly VideoInput[];
  readonly photos: readonly string[];
  readonly clips: readonly string[];
  readonly fit: 'stretch' | 'crop' | 'pad';
  readonly referenceFps: 'native' | number;
  readonly notices: readonly string[];
}

const VIDEO = 'video.mp4';
const REQUEST = 'request.json';
const OUTPUTS = 'outputs';

const outputSchema = z.looseObject({ prompt: z.string(), seed: z.number().int() });
const runSchema = z.looseObject({
  subject: z.array(z.string()),
  motion: z.array(z.string()),
  fit: z.enum(['stretch', 'crop', 'pad']),
  fps: z.union([z.literal('native'), z.number()]),
});

type RunFacts = z.output<typeof runSchema>;

/** Finds videos and references; where a run folder is given, its own photos and clips are the default. */
export async function findInputs(request: EvaluateRequest): Promise<EvaluationInputs> {
  const videos: VideoInput[] = [];
  const runs: RunFacts[] = [];
  const notices: string[] = [];
  for (const path of request.videos) {
    if (await isRunFolder(path)) {
      const run = await readRun(path);
      runs.push(parsed(runSchema, run.request, join(path, REQUEST)));
      videos.push(...(await videosIn(run.outputsFolder, notices)));
    } else videos.push(...(await videosIn(path, notices)));
  }
  const [run] = runs;
  const unique = new Map(videos.map((video) => [video.path, video]));
  const { prompt } = request;
  const clips = await filesOf(request.motion.length > 0 ? request.motion : (run?.motion ?? []));
  for (const path of clips.filter((clip) => unique.has(clip))) {
    notices.push(`measured and a reference at once, so it is like itself: ${path}`);
  }
  return {
    videos: [...unique.values()].map((video) => (prompt === undefined ? video : { ...video, prompt })),
    photos: await filesOf(request.subject.length > 0 ? request.subject : (run?.subject ?? [])),
    clips,
    fit: request.fit ?? run?.fit ?? 'stretch',
    referenceFps: request.referenceFps ?? run?.fps ?? 'native',
    notices,
  };
}

async function videosIn(path: string, notices: string[]): Promise<VideoInput[]> {
  if (await isOutputFolder(path)) return [await outputIn(path)];
  const outputs: VideoInput[] = [];
  for (const folder of await subfolders(path)) {
    if (await isOutputFolder(folder)) outputs.push(await outputIn(folder));
    else if (await isFile(join(folder, REQUEST))) notices.push(`not finished, left out: ${folder}`);
  }
  if (outputs.length > 0) return outputs;
  const { files } = await listDataset(path);
  return files.map(({ path: file, caption }) => ({ path: file, ...(caption && { prompt: caption.text }) }));
}

async function isRunFolder(path: string): Promise<boolean> {
  const isOutput = await isFile(join(path, VIDEO));
  return !isOutput && (await isFile(join(path, REQUEST))) && (await isFolder(join(path, OUTPUTS)));
}

async function isOutputFolder(path: string): Promise<boolean> {
  return (await isFile(join(path, VIDEO))) && (await isFile(join(path, REQUEST)));
}

async function outputIn(folder: string): Promise<VideoInput> {
  const record = join(folder, REQUEST);
  const { prompt, seed } = parsed(outputSchema, parseStrictJson(await readFile(record), record), record);
  return { path: resolve(folder, VIDEO), seed, ...(prompt !== '' && { prompt }) };
}

async function subfolders(path: string): Promise<string[]> {
  if (!(await isFolder(path))) return [];
  const entries = await readdir(path, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(path, name))
    .sort();
}

async function filesOf(paths: readonly string[]): Promise<string[]> {
  const listings = await Promise.all(paths.map((path) => listDataset(path)));
  return [...new Set(listings.flatMap(({ files }) => files.map(({ path }) => path)))];
}

function parsed<T>(schema: z.ZodType<T>, json: unknown, where: string): T {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new EvaluateError({
    where,
    expected: 'the request of a run or of a generated video',
    got: `${issue.path.join('.') || 'it'}: ${issue.message}`,
  });
}
