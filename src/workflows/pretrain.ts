import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { latestCheckpoint, saveCheckpoint } from '../store/checkpoint.ts';
import { type EventLog, openEventLog } from '../store/event-log.ts';
import type { JsonObject } from '../store/plain-json.ts';
import { createRun, type OpenRun, openRun, readRun, requireSameRequest } from '../store/run-folder.ts';
import { writeFileAtomic } from '../tensor/atomic-file.ts';
import { DualrealError, throwIfCancelled } from '../tensor/errors.ts';
import { type BatchSource, openBatchSource } from '../toybox/pretrain/batch-source.ts';
import { PretrainingSession } from '../toybox/pretrain/session.ts';
import type { PretrainingTask, Review } from '../toybox/pretrain/task.ts';
import { openTask } from '../toybox/pretrain/tasks.ts';
import { drawCurves } from './pretrain-curves.ts';
import { type PretrainRequest, pretrainRequestSchema } from './pretrain-request.ts';
import { universePreparation } from './preview-universe.ts';
import type { WorkflowContext, WorkflowEvent } from './workflow.ts';

export interface PretrainResult {
  readonly runFolder: string;
  /** Steps done so far. */
  readonly step: number;
  readonly totalSteps: number;
  /** Computing time of all sessions of the run together. */
  readonly seconds: number;
  /** Of the last review. */
  readonly numbers: Readonly<Record<string, number>>;
}

/** A request in which nothing is open. */
type SettledRequest = PretrainRequest & { readonly seed: number };

/** What is not asked for otherwise is as it was in the run to go on with. */
function settle(asked: PretrainRequest, earlier: JsonObject): SettledRequest {
  const { seed, batch, startFrom } = pretrainRequestSchema
    .pick({ seed: true, batch: true, startFrom: true })
    .parse(withoutNulls(earlier, ['seed', 'batch', 'startFrom']));
  return {
    ...asked,
    seed: asked.seed ?? seed ?? 1,
    batch: asked.batch ?? batch,
    startFrom: asked.startFrom ?? startFrom,
  };
}

function withoutNulls(fields: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = fields[name];
      return value === null || value === undefined ? [] : [[name, value]];
    }),
  );
}

/** Where the run of a request lies. */
export function pretrainFolder({
  stateFolder,
  name,
  model,
  variant,
}: Pick<PretrainRequest, 'stateFolder' | 'name' | 'model' | 'variant'>): string {
  return join(stateFolder, name ?? (variant === 'shipped' ? model : `${model}-${variant}`));
}

/**
 * Pretrains one model of the toy base: batches come from a rendering thread, everything random is a
 * function of (seed, step), so that a resumed run goes on bit by bit. Saves every few minutes, when it is
 * cancelled, when its time is over and at the end.
 */
export async function* pretrain(
  asked: PretrainRequest,
  context: WorkflowContext,
): AsyncGenerator<WorkflowEvent, PretrainResult> {
  const folder = pretrainFolder(asked);
  const request = settle(asked, asked.resume ? (await readRun(folder)).request : {});
  const { model, variant, seed, batch, resume, startFrom } = request;
  yield* universePreparation(request, context.signal);
  // Before the run's folder is made, so that a request that cannot be met leaves none.
  const task = await openTask({ ...request });
  // Neither the schedule's length (it may be changed to go on) nor anything about the machine.
  const identity = { model, variant, seed, batch: batch ?? null, startFrom: startFrom ?? null };
  const run = resume ? await openRun(folder) : await createRun(folder, identity, { node: process.version });
  const log = await openEventLog(join(run.path, 'metrics.jsonl'));
  try {
    requireSameRequest(run, identity);
    for (const message of run.notices) yield { type: 'notice', message };
    return yield* trainIn(run, log, task, request, context);
  } finally {
    await log.close();
    await run.close();
  }
}

async function* trainIn(
  run: OpenRun,
  log: EventLog,
  opened: PretrainingTask,
  request: SettledRequest,
  context: WorkflowContext,
): AsyncGenerator<WorkflowEvent, PretrainResult> {
  const { model, device, threads } = request;
  const { clock, signal } = context;
  const started = clock();
  const { checkpoint, notices } = await latestCheckpoint(run);
  for (const message of notices) yield { type: 'notice', message };
  const totalSteps = request.steps ?? (checkpoint?.progress.totalSteps as number) ?? opened.recipe.steps;
  const task: PretrainingTask = { ...opened, recipe: { ...opened.recipe, steps: totalSteps } };
  let step = checkpoint?.step ?? 0;
  const earlierSeconds = Number(checkpoint?.progress.seconds ?? 0);
  const seconds = () => earlierSeconds + (clock() - started) / 1000;

  const runtime = context.openRuntime({ device, threads });
  let source: BatchSource | undefined;
  try {
    yield {
      type: 'stage',
      stage: `pretraining ${model}`,
      detail: `${countOf(task)} parameters, step ${step}`,
    };
    const session = await PretrainingSession.open(runtime, task, request.seed);
    if (checkpoint) await session.load(checkpoint.tensors);
    else if (request.startFrom) {
      const earlier = await readRun(join(request.stateFolder, request.startFrom));
      const found = (await latestCheckpoint(earlier)).checkpoint;
      if (!found) throw new DualrealError({ where: earlier.path, expected: 'a checkpoint', got: 'none' });
      await session.start(found.tensors);
      yield { type: 'notice', message: `parameters from step ${found.step} of ${earlier.path}` };
    }
    const review = await task.openReview(runtime);
    // After the engine's thread is up: two threads that load TypeScript at once disturb each other.
    source = openBatchSource({ ...request }, step);
    const save = async () => {
      await log.sync();
      const progress = { totalSteps, seconds: seconds() };
      await saveCheckpoint(run, { step, tensors: await session.state(), progress });
    };

    const firstStep = step;
    const training = clock();
    const everyMs = (minutes: number) => minutes * 60_000;
    let savedMs = clock();
    let reviewedMs = clock();
    let numbers: Readonly<Record<string, number>> = {};
    while (step < totalSteps && !signal?.aborted) {
      if (request.minutes !== undefined && clock() - started > everyMs(request.minutes)) break;
      const before = clock();
      const done = await session.step(step, await source.take(step));
      step++;
      const durationMs = clock() - before;
      const left = ((clock() - training) / (step - firstStep)) * (totalSteps - step);
      const facts = { step, ...done, durationMs: Math.round(durationMs) };
      await log.append(facts);
      yield { type: 'pretrain', model, total: totalSteps, secondsLeft: left / 1000, ...facts };
      if (clock() - savedMs > everyMs(request.checkpointMinutes)) {
        await save();
        savedMs = clock();
      }
      if (clock() - reviewedMs > everyMs(request.reviewMinutes)) {
        numbers = yield* reviewed(run, log, session, review, step, model);
        reviewedMs = clock();
      }
    }
    await save();
    yield { type: 'notice', message: `${model}: saved at step ${step} of ${totalSteps}` };
    throwIfCancelled(signal, `pretraining ${model}`);
    numbers = yield* reviewed(run, log, session, review, step, model);
    return { runFolder: run.path, step, totalSteps, seconds: seconds(), numbers };
  } finally {
    await source?.close();
    await runtime.close();
  }
}

/** Judges the moving average; writes numbers, sheets and curves into the run folder. */
async function* reviewed(
  run: OpenRun,
  log: EventLog,
  session: PretrainingSession,
  review: Review,
  step: number,
  model: string,
): AsyncGenerator<WorkflowEvent, Readonly<Record<string, number>>> {
  const { numbers, sheets } = await review(await session.average());
  await log.append({ step, review: numbers });
  const told = Object.entries(numbers).map(([name, value]) => `${name} ${value.toFixed(3)}`);
  yield { type: 'notice', message: `${model} at step ${step}: ${told.join(', ')}` };
  await mkdir(run.samplesFolder, { recursive: true });
  for (const { name, png } of sheets) {
    const path = join(run.samplesFolder, `${name}-${String(step).padStart(7, '0')}.png`);
    await writeFileAtomic(path, png);
    yield { type: 'artifact', kind: 'sheet', path };
  }
  const curves = join(run.path, 'curves.png');
  await writeFileAtomic(curves, await drawCurves(model, log.path));
  yield { type: 'artifact', kind: 'curves', path: curves };
  return numbers;
}

function countOf({ trainable }: PretrainingTask): number {
  let count = 0;
  for (const { shape } of trainable.values()) count += shape.reduce((product, extent) => product * extent, 1);
  return count;
}
