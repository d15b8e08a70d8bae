import { existsSync } from 'node:fs';
import { mkdir, rm, rmdir } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import type { MetricName } from '../evaluation/index.ts';
import { readEventLog } from '../store/event-log.ts';
import { readRun } from '../store/run-folder.ts';
import { evaluate } from '../workflows/evaluate.ts';
import type { VideoReport } from '../workflows/evaluate-report.ts';
import { evaluateRequestSchema } from '../workflows/evaluate-request.ts';
import { type GeneratedVideo, generate } from '../workflows/generate.ts';
import { generateRequestSchema } from '../workflows/generate-request.ts';
import { resumeTraining, train } from '../workflows/train.ts';
import { type TrainRequest, trainRequestSchema } from '../workflows/train-request.ts';
import { resultFiles } from '../workflows/training-result.ts';
import type { WorkflowContext, WorkflowEvent } from '../workflows/workflow.ts';
import { BenchmarkError } from './benchmark-error.ts';
import { type BenchCase, type BenchPlan, trainingFields } from './plan.ts';
import type { BenchControl } from './request.ts';
import { type BenchResult, type ControllerCurve, missingPrompts, writeResult } from './result.ts';
import type { RowPart } from './times.ts';

export interface RowWork {
  /** The benchmark's folder, absolute. */
  readonly folder: string;
  readonly plan: BenchPlan;
  readonly case: BenchCase;
  readonly variant: string;
  readonly control: BenchControl;
  readonly context: WorkflowContext;
  /** Told what a part took, also where it was cut short. */
  readonly spent: (part: RowPart, seconds: number) => Promise<void>;
}

type Events = AsyncGenerator<WorkflowEvent>;

/** What the verdict of `customization` asks for, and what else CLIP gives; the others take optical flow. */
const CUSTOMIZATION_METRICS: readonly MetricName[] = ['clip-t', 'clip-i', 'dino-i', 't-cons'];

/**
 * One row of the table on one case: trains, makes the videos that have no result yet, measures them. What a session
 * before has left is gone on with: a training from its checkpoint, a video from its last saved denoising step.
 */
export async function* runRow(work: RowWork): Events {
  const { folder, case: benchCase, variant, control } = work;
  const prompts = missingPrompts(folder, benchCase, variant);
  if (prompts.length === 0) return;
  const run = join(folder, 'runs', benchCase.id, variant);
  const request = trainingRequest(work, run);
  const untrained = isUntrained(work);
  if (!untrained && !(await isTrained(request)))
    yield* timed(work, 'training', trainRow(request, work.context));
  const videos = yield* timed(work, 'generating', generateRow(work, untrained ? undefined : run, prompts));
  yield* timed(work, 'measuring', measureRow(work, request, prompts, videos));
  if (control.keepRuns || untrained) return;
  await rm(run, { recursive: true, force: true });
  // The case's folder goes with its last run.
  await rmdir(dirname(run)).catch(() => undefined);
}

async function* timed<Result>(
  { context, spent }: RowWork,
  part: RowPart,
  events: AsyncGenerator<WorkflowEvent, Result>,
): AsyncGenerator<WorkflowEvent, Result> {
  const startedMs = context.clock();
  try {
    return yield* events;
  } finally {
    await spent(part, (context.clock() - startedMs) / 1000);
  }
}

/** Whether the row is the base as it is. */
function isUntrained({ plan, variant }: Pick<RowWork, 'plan' | 'variant'>): boolean {
  return plan.variants.some(({ id, untrained }) => id === variant && untrained === true);
}

async function isTrained({ method, out }: TrainRequest): Promise<boolean> {
  if (!existsSync(join(out, 'request.json'))) return false;
  return resultFiles(method, await readRun(out)).every((path) => existsSync(path));
}

async function* trainRow(request: TrainRequest, context: WorkflowContext): Events {
  if (existsSync(join(request.out, 'request.json'))) yield* resumeTraining(request.out, context);
  else {
    await mkdir(dirname(request.out), { recursive: true });
    yield* train(request, context);
  }
}

function trainingRequest(
  { folder, plan, case: benchCase, variant, control }: RowWork,
  run: string,
): TrainRequest {
  const { seed, width, height, device } = plan.request;
  const fields = trainingFields(plan, variant);
  const at = (path: string) => resolve(folder, path);
  const { subjectWord, classWord, subjectPrompt, motionPrompt } = benchCase;
  const namesSubject = fields.method === 'dreamvideo' || fields.method === 'motionbooth';
  const parsed = trainRequestSchema.safeParse({
    subject: [at(benchCase.photos)],
    ...(fields.method === 'motionbooth'
      ? plan.generic !== undefined && { generic: [at(plan.generic)] }
      : { motion: [at(benchCase.clips)], ...(motionPrompt !== undefined && { motionPrompt }) }),
    ...(subjectPrompt !== undefined && { subjectPrompt }),
    ...(namesSubject && subjectWord !== undefined && { subjectWord }),
    ...(fields.method === 'dreamvideo' && classWord !== undefined && { classWord }),
    base: plan.base.location,
    out: run,
    seed,
    ...(width !== undefined && { width }),
    ...(height !== undefined && { height }),
    frames: plan.frames,
    device,
    ...(control.threads !== undefined && { threads: control.threads }),
    ...fields,
  });
  if (parsed.success) return parsed.data;
  throw new BenchmarkError({
    where: `training of ${variant} on ${benchCase.id}`,
    expected: 'a training request',
    got: parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '),
    hint: 'see --train',
  });
}

async function* generateRow(
  { folder, plan, case: benchCase, variant, control, context }: RowWork,
  run: string | undefined,
  prompts: readonly number[],
): AsyncGenerator<WorkflowEvent, readonly GeneratedVideo[]> {
  const { benchmark, seed, sampling, width, height, device } = plan.request;
  const request = generateRequestSchema.parse({
    ...sampling,
    ...(run !== undefined && { adapter: run }),
    base: plan.base.location,
    prompts: prompts.map((index) => benchCase.prompts[index]),
    seed,
    // One seed is one noise: clips that are counted one by one must not share it.
    ...(benchmark === 'customization' && { seeds: prompts.map((prompt) => seed + prompt) }),
    ...(width !== undefined && { width }),
    ...(height !== undefined && { height }),
    frames: plan.frames,
    out: join(folder, 'videos', benchCase.id, variant),
    device,
    ...(control.threads !== undefined && { threads: control.threads }),
  });
  return yield* generate(request, context);
}

async function* measureRow(
  { folder, plan, case: benchCase, variant, control, context }: RowWork,
  { fit, fps }: TrainRequest,
  prompts: readonly number[],
  videos: readonly GeneratedVideo[],
): Events {
  const { encoders, device } = plan.request;
  const { videos: reports, failed } = yield* evaluate(
    evaluateRequestSchema.parse({
      ...encoders,
      ...(plan.request.benchmark === 'customization' && { metrics: CUSTOMIZATION_METRICS }),
      videos: videos.map((video) => video.folder),
      subject: [resolve(folder, benchCase.photos)],
      motion: [resolve(folder, benchCase.clips)],
      fit,
      referenceFps: fps,
      device,
      ...(control.threads !== undefined && { threads: control.threads }),
    }),
    context,
  );
  for (const prompt of prompts) {
    const text = benchCase.prompts[prompt];
    const made = videos.find((video) => video.prompt === text)!;
    const report = reports.find(({ path }) => path === made.video);
    if (!report) {
      const [first] = failed;
      throw new BenchmarkError({ where: made.video, expected: 'a video', got: first?.message ?? 'none' });
    }
    await writeResult(folder, await resultOf(folder, { case: benchCase.id, variant, prompt }, made, report));
  }
}

async function resultOf(
  folder: string,
  place: Pick<BenchResult, 'case' | 'variant' | 'prompt'>,
  made: GeneratedVideo,
  { frames, width, height, fps, values, missing }: VideoReport,
): Promise<BenchResult> {
  const controller = await controllerCurve(join(made.folder, 'events.jsonl'));
  return {
    version: 1,
    ...place,
    text: made.prompt,
    seed: made.seed,
    video: relative(folder, made.video).replaceAll('\\', '/'),
    frames,
    width,
    height,
    fps,
    values,
    missing,
    ...(controller && { controller }),
  };
}

/** What the controller decided while a video was denoised. Steps that were done twice count once. */
async function controllerCurve(path: string): Promise<ControllerCurve | undefined> {
  const { events } = await readEventLog(path);
  const steps = new Map<number, { timestep: number; weights: readonly number[] }>();
  for (const { type, step, timestep, identityWeights } of events) {
    if (type !== 'denoise' || !Array.isArray(identityWeights)) continue;
    steps.set(Number(step), { timestep: Number(timestep), weights: identityWeights.map(Number) });
  }
  if (steps.size === 0) return undefined;
  const ordered = [...steps].sort(([a], [b]) => a - b).map(([, each]) => each);
  return {
    timesteps: ordered.map(({ timestep }) => timestep),
    identityWeights: ordered.map(({ weights }) => weights),
  };
}
