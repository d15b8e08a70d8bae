import { existsSync } from 'node:fs';
import { learningRateSchedule } from '../diffusion/index.ts';
import type { DualRealOptions } from '../methods/dualreal/index.ts';
import { NonFiniteLossError, type Runtime } from '../runtime/index.ts';
import { NonFiniteGradientError } from '../runtime/optimizer/adamw.ts';
import type { OpenRun } from '../store/run-folder.ts';
import { CancelledError } from '../tensor/errors.ts';
import type { Base } from './base.ts';
import type { TrainControl, TrainRequest } from './train-request.ts';
import type { TrainingData } from './training-data.ts';
import { sampleSheetPath, trainingSamples } from './training-samples.ts';
import type { StepReport, TrainingSession } from './training-session.ts';
import { saveTraining } from './training-state.ts';
import { secondsLeft, type WorkflowContext, type WorkflowEvent } from './workflow.ts';

export interface LoopContext {
  readonly request: TrainRequest;
  readonly base: Base;
  readonly options: DualRealOptions;
  readonly data: TrainingData;
  readonly runtime: Runtime;
  readonly context: WorkflowContext;
  readonly control: TrainControl;
}

/** Mean loss of the last steps of each phase; undefined where a phase had none. */
export type TrainingLosses = Readonly<Record<'identity' | 'motion', number | undefined>>;

/** Steps that a mean loss is taken over. */
const RECENT_STEPS = 50;

/** Trains from step `first` to the last one: steps, checkpoints, samples, and an end at Ctrl-C. */
export async function* trainingLoop(
  session: TrainingSession,
  run: OpenRun,
  first: number,
  loopContext: LoopContext,
): AsyncGenerator<WorkflowEvent, TrainingLosses> {
  const { request, context, control } = loopContext;
  const { steps, checkpointEvery, keepCheckpoints } = request;
  const rate = rateOf(request);
  const started = context.clock();
  const recent: Record<'identity' | 'motion', number[]> = { identity: [], motion: [] };
  let saved = first;
  // An interruption after the checkpoint may have cost its samples.
  if (samplesDue(first, request) && !existsSync(sampleSheetPath(run, first))) {
    yield* trainingSamples(run, first, session.trainer, loopContext);
  }
  for (let step = first; step < steps; step++) {
    const before = context.clock();
    const learningRate = rate(step);
    let report: StepReport;
    try {
      report = await session.step(step, learningRate);
    } catch (error) {
      if (error instanceof NonFiniteLossError || error instanceof NonFiniteGradientError) {
        yield { type: 'notice', message: endedAt(step + 1, saved) };
      }
      throw error;
    }
    const done = step + 1;
    const { phase } = report.plan;
    recent[phase] = [...recent[phase].slice(1 - RECENT_STEPS), report.loss];
    const now = context.clock();
    yield {
      type: 'step',
      step: done,
      total: steps,
      phase,
      loss: report.loss,
      learningRate,
      gradientNorm: report.gradientNorm,
      durationMs: now - before,
      secondsLeft: secondsLeft(started, now, done - first, steps - first)!,
      timesteps: report.plan.timesteps,
      identityWeights: report.identityWeights,
    };
    const stopping = context.signal?.aborted === true || done === control.stopAfter;
    const sampling = samplesDue(done, request);
    // Before samples too: they take long enough to be interrupted in.
    if (stopping || sampling || done === steps || done % checkpointEvery === 0) {
      yield {
        type: 'artifact',
        kind: 'checkpoint',
        path: await saveTraining(session, run, done, keepCheckpoints),
      };
      saved = done;
    }
    if (stopping && done < steps) {
      yield { type: 'notice', message: `saved step ${done} of ${steps}` };
      throw new CancelledError('training');
    }
    if (sampling) yield* trainingSamples(run, done, session.trainer, loopContext);
  }
  return { identity: mean(recent.identity), motion: mean(recent.motion) };
}

function samplesDue(step: number, { sampleEvery, steps }: TrainRequest): boolean {
  return sampleEvery > 0 && step > 0 && (step % sampleEvery === 0 || step === steps);
}

function endedAt(step: number, saved: number): string {
  const kept = saved > 0 ? `the checkpoint of step ${saved} is intact` : 'there was no checkpoint yet';
  return `step ${step} was not done, and would fail in the same way again; ${kept}`;
}

function rateOf(request: TrainRequest): (step: number) => number {
  return learningRateSchedule({
    kind: request.schedule,
    baseLearningRate: request.learningRate,
    warmupSteps: request.warmupSteps ?? Math.min(200, Math.round(request.steps / 5)),
    totalSteps: request.steps,
  });
}

function mean(values: readonly number[]): number | undefined {
  return values.length > 0 ? values.reduce((sum, value) => sum + value, 0) / values.length : undefined;
}
