import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeVideo, encodePhoto } from '../media/index.ts';
import { DUALREAL_PRESETS, type DualRealOptions, requireGroups } from '../methods/dualreal/index.ts';
import { writeAdapterFile } from '../store/adapter-file.ts';
import { openEventLog, readEventLog } from '../store/event-log.ts';
import { FeatureCache } from '../store/feature-cache.ts';
import { createRun, type OpenRun, openRun, RunFolderError } from '../store/run-folder.ts';
import { CancelledError } from '../tensor/errors.ts';
import { reshaped } from '../tensor/host-tensor.ts';
import { type Base, openBase } from './base.ts';
import { noImageEncoder } from './base-encoders.ts';
import { packageVersions } from './package-versions.ts';
import { REFERENCE_FILE } from './prepare.ts';
import { requireSampleSize } from './sample-size.ts';
import {
  type TrainControl,
  type TrainRequest,
  trainRequestSchema,
  withAbsolutePaths,
} from './train-request.ts';
import { prepareTraining, sampleShape, type TrainingData } from './training-data.ts';
import { type TrainingLosses, trainingLoop } from './training-loop.ts';
import { trainingRecipe } from './training-recipe.ts';
import { TrainingSession } from './training-session.ts';
import { restoreTraining } from './training-state.ts';
import { shellWord, type WorkflowContext, type WorkflowEvent } from './workflow.ts';

export interface TrainResult {
  readonly run: string;
  readonly adapter: string;
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
  const absolute = withAbsolutePaths(request);
  const run = await createRun(absolute.out, absolute, packageVersions());
  let unused = false;
  try {
    return yield* trainIn(run, absolute, context, control);
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

/** The preset's options with the request's own differences. */
export function optionsOf(
  request: Pick<TrainRequest, 'preset' | 'options'>,
  conditionDim: number,
): DualRealOptions {
  const chosen = Object.fromEntries(
    Object.entries(request.options).filter(([, value]) => value !== undefined),
  );
  return { ...DUALREAL_PRESETS[request.preset], conditionDim, ...chosen };
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
  const options = optionsOf(request, base.imageDim);
  requireGroups(options.groups, base.transformer.blocks);
  const { size, frames } = sampleShape(request, base);
  requireSampleSize({ ...size, frames }, base.sizeRule);
  if (!base.image) throw noImageEncoder();
  const runtime = context.openRuntime(request);
  try {
    const data = yield* prepareTraining(request, options, base, runtime, context);
    await keepReference(run, data);
    yield { type: 'stage', stage: 'building the training programs' };
    const session = await openSession(request, options, base, data, runtime);
    const { step: first, notices } = await restoreTraining(session, run, request.seed);
    for (const message of notices) yield { type: 'notice', message };
    if (first > 0) yield { type: 'stage', stage: 'resuming', detail: `from step ${first}` };
    if (first < request.steps) yield* predict(session, request, first, context);
    const losses = yield* trainingLoop(session, run, first, {
      request,
      base,
      options,
      data,
      runtime,
      context,
      control,
    });
    const state = await session.trainer.read();
    const recipe = await trainingRecipe(request, options, base, data);
    await writeAdapterFile(run.adapterFile, state.parameters, recipe);
    yield { type: 'artifact', kind: 'adapter', path: run.adapterFile };
    return { run: run.path, adapter: run.adapterFile, steps: request.steps, losses };
  } finally {
    await runtime.close();
  }
}

/** A photo of the subject, kept with the run so that generating needs nothing else. */
async function keepReference(run: OpenRun, { items }: TrainingData): Promise<void> {
  const path = join(run.path, REFERENCE_FILE);
  if (existsSync(path)) return;
  const { frames } = await decodeVideo(items.identity[0].path, { maxFrames: 1 });
  await encodePhoto(path, reshaped(frames, frames.shape.slice(1)));
}

function openSession(
  request: TrainRequest,
  options: DualRealOptions,
  base: Base,
  data: TrainingData,
  runtime: Parameters<typeof TrainingSession.open>[0],
): Promise<TrainingSession> {
  return TrainingSession.open(runtime, {
    config: base.transformer,
    options,
    schedule: base.schedule,
    scalingFactor: base.scalingFactor,
    weights: base.transformerWeights.entries,
    plan: {
      seed: request.seed,
      motionRatio: request.motionRatio,
      batch: { identity: request.subjectBatch, motion: request.motionBatch },
      items: { identity: data.identity.length, motion: data.motion.length },
      trainTimesteps: base.schedule.config.trainTimesteps,
    },
    features: data,
    optimizer: { weightDecay: request.weightDecay, maxGradientNorm: request.maxGradientNorm },
    recompute: request.recompute,
    residence: base.residence,
  });
}

/** Rehearses a step of each phase, without any effect on the run, and tells what the steps from `first` on take. */
async function* predict(
  session: TrainingSession,
  request: TrainRequest,
  first: number,
  context: WorkflowContext,
): AsyncGenerator<WorkflowEvent> {
  const { identity, motion } = await session.rehearse(context.clock);
  const meanMs = request.motionRatio * motion + (1 - request.motionRatio) * identity;
  yield {
    type: 'estimate',
    seconds: (meanMs * (request.steps - first)) / 1000,
    memoryBytes: process.memoryUsage.rss(),
    detail: `${motion.toFixed(0)} ms per motion step, ${identity.toFixed(0)} ms per identity step, measured on this machine`,
  };
}
