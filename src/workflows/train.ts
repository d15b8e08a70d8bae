import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type LearningRateSchedule, learningRateSchedule } from '../diffusion/index.ts';
import { decodeVideo, encodePhoto } from '../media/index.ts';
import {
  DUALREAL_PRESETS,
  type DualRealOptions,
  initialParameters,
  requireGroups,
} from '../methods/dualreal/index.ts';
import { writeAdapterFile } from '../store/adapter-file.ts';
import { latestCheckpoint, saveCheckpoint } from '../store/checkpoint.ts';
import { openEventLog } from '../store/event-log.ts';
import { createRun, type OpenRun, openRun, RunFolderError } from '../store/run-folder.ts';
import { CancelledError } from '../tensor/errors.ts';
import { type HostTensor, reshaped } from '../tensor/host-tensor.ts';
import { type Base, openBase } from './base.ts';
import { packageVersions } from './package-versions.ts';
import { REFERENCE_FILE } from './prepare.ts';
import { type TrainRequest, trainRequestSchema, withAbsolutePaths } from './train-request.ts';
import { prepareTraining, type TrainingData } from './training-data.ts';
import { trainingRecipe } from './training-recipe.ts';
import { trainingSamples } from './training-samples.ts';
import { TrainingSession } from './training-session.ts';
import { secondsLeft, type WorkflowContext, type WorkflowEvent } from './workflow.ts';

export interface TrainResult {
  readonly run: string;
  readonly adapter: string;
  readonly steps: number;
  /** Mean loss of the last steps of each phase. */
  readonly losses: Readonly<Record<'identity' | 'motion', number | undefined>>;
}

export interface TrainControl {
  /** Stops with a checkpoint after this many steps in all, as Ctrl-C would. */
  readonly stopAfter?: number;
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
  try {
    return yield* trainIn(run, absolute, context, control);
  } finally {
    await run.close();
  }
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
  const base = await openBase(request.base, { imageEncoder: request.imageEncoder });
  if (base.notice) yield { type: 'notice', message: base.notice };
  const options = optionsOf(request, base.imageDim);
  requireGroups(options.groups, base.transformer.blocks);
  const runtime = context.openRuntime(request);
  try {
    const data = yield* prepareTraining(request, options, base, runtime, context);
    await keepReference(run, data);
    yield { type: 'stage', stage: 'building the training programs' };
    const session = await openSession(request, options, base, data, runtime);
    const { step: first, notices } = await restore(session, run, request);
    for (const message of notices) yield { type: 'notice', message };
    if (first > 0) yield { type: 'stage', stage: 'resuming', detail: `from step ${first}` };
    else yield* predict(session, request, context);
    const losses = yield* loop(session, run, first, {
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

const OPTIMIZER_PREFIX = 'optimizer/';

/** Loads the newest checkpoint, or the initial state of the seed. */
async function restore(
  session: TrainingSession,
  run: OpenRun,
  request: TrainRequest,
): Promise<{ step: number; notices: readonly string[] }> {
  const { checkpoint, notices } = await latestCheckpoint(run);
  if (!checkpoint) {
    await session.trainer.load({ parameters: initialParameters(session.parameters, request.seed) });
    return { step: 0, notices };
  }
  const parameters = new Map<string, HostTensor>();
  const optimizer = new Map<string, HostTensor>();
  for (const [name, tensor] of checkpoint.tensors) {
    if (name.startsWith(OPTIMIZER_PREFIX)) optimizer.set(name.slice(OPTIMIZER_PREFIX.length), tensor);
    else parameters.set(name, tensor);
  }
  await session.trainer.load({ parameters, optimizer });
  return { step: checkpoint.step, notices };
}

async function* predict(
  session: TrainingSession,
  request: TrainRequest,
  context: WorkflowContext,
): AsyncGenerator<WorkflowEvent> {
  const { identity, motion } = await session.rehearse(context.clock);
  const meanMs = request.motionRatio * motion + (1 - request.motionRatio) * identity;
  yield {
    type: 'estimate',
    seconds: (meanMs * request.steps) / 1000,
    memoryBytes: process.memoryUsage.rss(),
    detail: `${motion.toFixed(0)} ms per motion step, ${identity.toFixed(0)} ms per identity step, measured on this machine`,
  };
}

interface LoopContext {
  readonly request: TrainRequest;
  readonly base: Base;
  readonly options: DualRealOptions;
  readonly data: TrainingData;
  readonly runtime: Parameters<typeof TrainingSession.open>[0];
  readonly context: WorkflowContext;
  readonly control: TrainControl;
}

async function* loop(
  session: TrainingSession,
  run: OpenRun,
  first: number,
  loopContext: LoopContext,
): AsyncGenerator<WorkflowEvent, TrainResult['losses']> {
  const { request, context, control } = loopContext;
  const { steps, checkpointEvery, keepCheckpoints, sampleEvery } = request;
  const rate = rateOf(request);
  const started = context.clock();
  const recent: Record<'identity' | 'motion', number[]> = { identity: [], motion: [] };
  const save = async (step: number): Promise<WorkflowEvent> => {
    const { parameters, optimizer } = await session.trainer.read();
    const tensors = new Map(parameters);
    for (const [name, tensor] of optimizer) tensors.set(OPTIMIZER_PREFIX + name, tensor);
    const file = await saveCheckpoint(run, { step, tensors, progress: {} }, { keep: keepCheckpoints });
    return { type: 'artifact', kind: 'checkpoint', path: file.path };
  };
  for (let step = first; step < steps; step++) {
    const before = context.clock();
    const learningRate = rate(step);
    const report = await session.step(step, learningRate);
    const done = step + 1;
    const { phase } = report.plan;
    recent[phase] = [...recent[phase].slice(-49), report.loss];
    yield {
      type: 'step',
      step: done,
      total: steps,
      phase,
      loss: report.loss,
      learningRate,
      gradientNorm: report.gradientNorm,
      durationMs: context.clock() - before,
      secondsLeft: secondsLeft(started, context.clock(), done - first, steps - first)!,
      timesteps: report.plan.timesteps,
      identityWeights: report.identityWeights,
    };
    const stopping = context.signal?.aborted === true || done === control.stopAfter;
    if (stopping || done === steps || done % checkpointEvery === 0) yield await save(done);
    if (stopping && done < steps) {
      yield {
        type: 'notice',
        message: `stopped after step ${done}; go on with: dualreal train --resume ${run.path}`,
      };
      throw new CancelledError('training');
    }
    if (sampleEvery > 0 && (done % sampleEvery === 0 || done === steps)) {
      yield* trainingSamples(run, done, session.trainer, loopContext);
    }
  }
  const mean = (values: readonly number[]) =>
    values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : undefined;
  return { identity: mean(recent.identity), motion: mean(recent.motion) };
}

function rateOf(request: TrainRequest): LearningRateSchedule {
  return learningRateSchedule({
    kind: request.schedule,
    baseLearningRate: request.learningRate,
    warmupSteps: request.warmupSteps ?? Math.min(200, Math.round(request.steps / 5)),
    totalSteps: request.steps,
  });
}
