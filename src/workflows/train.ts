import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeVideo, encodePhoto } from '../media/index.ts';
import { openEventLog, readEventLog } from '../store/event-log.ts';
import { FeatureCache } from '../store/feature-cache.ts';
import { createRun, type OpenRun, openRun, RunFolderError } from '../store/run-folder.ts';
import { CancelledError } from '../tensor/errors.ts';
import { reshaped } from '../tensor/host-tensor.ts';
import { openBase } from './base.ts';
import { noImageEncoder } from './base-encoders.ts';
import { packageVersions } from './package-versions.ts';
import { REFERENCE_FILE } from './prepare.ts';
import { requireSampleSize } from './sample-size.ts';
import { phasesOf, planTraining, withRatesOfBase } from './train-plan.ts';
import {
  type TrainControl,
  type TrainRequest,
  trainRequestSchema,
  withAbsolutePaths,
} from './train-request.ts';
import { prepareTraining, sampleShape, type TrainingData } from './training-data.ts';
import type { TrainingLosses } from './training-loop.ts';
import { writeResult } from './training-result.ts';
import { trainStages } from './training-stages.ts';
import { shellWord, type WorkflowContext, type WorkflowEvent } from './workflow.ts';

export interface TrainResult {
  readonly run: string;
  /** What was trained: one file, or the two LoRAs. */
  readonly files: readonly string[];
  /** Of all stages. */
  readonly steps: number;
  readonly losses: TrainingLosses;
}

type Training = AsyncGenerator<WorkflowEvent, TrainResult>;

/** Starts a run: a new folder with the request in it. */
export async function* train(
  request: TrainRequest,
  context: WorkflowContext,
  control: TrainControl = {},
): Training {
  const asked = withAbsolutePaths(request);
  const { imageEncoder } = asked;
  const settled = withRatesOfBase(asked, await openBase(asked.base, { imageEncoder }));
  const run = await createRun(asked.out, settled.request, packageVersions());
  let unused = false;
  try {
    for (const message of settled.notices) yield { type: 'notice', message };
    return yield* trainIn(run, settled.request, context, control);
  } catch (error) {
    // Nothing was learnt: the folder would only stand in the way of the corrected command.
    unused = !(error instanceof CancelledError) && !(await hasSteps(run));
    throw error;
  } finally {
    await run.close();
    if (unused) await rm(run.path, { recursive: true, force: true });
  }
}

async function hasSteps({ eventsFile }: OpenRun): Promise<boolean> {
  return (await readEventLog(eventsFile)).events.some(({ type }) => type === 'step');
}

/** Goes on with a run from its newest checkpoint; the result is that of a run never interrupted. */
export async function* resumeTraining(
  path: string,
  context: WorkflowContext,
  control: TrainControl = {},
): Training {
  const run = await openRun(path);
  try {
    for (const message of run.notices) yield { type: 'notice', message };
    const parsed = trainRequestSchema.safeParse(run.request);
    if (!parsed.success) {
      throw new RunFolderError({
        where: run.path,
        expected: 'a training request of this version',
        got: parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; '),
        hint: 'resume with the version of dualreal that started the run (see request.json)',
      });
    }
    return yield* trainIn(run, parsed.data, context, control);
  } finally {
    await run.close();
  }
}

async function* trainIn(
  run: OpenRun,
  request: TrainRequest,
  context: WorkflowContext,
  control: TrainControl,
): Training {
  const log = await openEventLog(run.eventsFile);
  try {
    if (log.notice) yield { type: 'notice', message: log.notice };
    const events = runTraining(run, request, context, control);
    for (;;) {
      const { done, value } = await events.next();
      if (done) return value;
      await log.append(value);
      yield value;
    }
  } catch (error) {
    if (error instanceof CancelledError) {
      yield {
        type: 'notice',
        message: `stopped; go on with: dualreal train --resume ${shellWord(run.path)}`,
      };
    }
    throw error;
  } finally {
    await log.close();
  }
}

async function* runTraining(
  run: OpenRun,
  request: TrainRequest,
  context: WorkflowContext,
  control: TrainControl,
): Training {
  const cache = new FeatureCache(context.cacheFolder);
  const base = await openBase(request.base, { imageEncoder: request.imageEncoder, cache });
  if (base.notice) yield { type: 'notice', message: base.notice };
  const plan = planTraining(request, base);
  for (const message of plan.notices) yield { type: 'notice', message };
  const { size, frames } = sampleShape(request, base);
  requireSampleSize({ ...size, frames }, base.sizeRule);
  if (!base.image && phasesOf(plan.method).some(({ condition }) => condition)) throw noImageEncoder();
  const runtime = context.openRuntime(request);
  try {
    const data = yield* prepareTraining(request, plan.method, base, runtime, context);
    await keepReference(run, data);
    const made = { run, request, plan, base, data, runtime, context, control };
    const { trained, losses } = yield* trainStages(made);
    const files = await writeResult(run, { request, plan, base, data, trained });
    for (const path of files) yield { type: 'artifact', kind: RESULT_KINDS[plan.method.name], path };
    return { run: run.path, files, steps: plan.steps, losses };
  } finally {
    await runtime.close();
  }
}

const RESULT_KINDS: Readonly<Record<TrainRequest['method'], string>> = {
  dualreal: 'adapter',
  lora: 'LoRA',
  full: 'transformer',
  dreamvideo: 'adapter',
  motionbooth: 'adapter',
};

/** A photo of the subject, kept with the run so that generating needs nothing else. */
async function keepReference(run: OpenRun, { items }: TrainingData): Promise<void> {
  const path = join(run.path, REFERENCE_FILE);
  if (existsSync(path)) return;
  const { frames } = await decodeVideo(items.identity![0].path, { maxFrames: 1 });
  await encodePhoto(path, reshaped(frames, frames.shape.slice(1)));
}
