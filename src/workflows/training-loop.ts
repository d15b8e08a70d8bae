import { existsSync } from 'node:fs';
import { learningRateSchedule } from '../diffusion/index.ts';
import { NonFiniteLossError } from '../runtime/index.ts';
import { NonFiniteGradientError } from '../runtime/optimizer/adamw.ts';
import type { OpenRun } from '../store/run-folder.ts';
import { CancelledError } from '../tensor/errors.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import type { StagePlan } from './train-plan.ts';
import type { TrainControl } from './train-request.ts';
import { sampleSheetPath, type TrainingSampleContext, trainingSamples } from './training-samples.ts';
import type { StepReport, TrainingSession } from './training-session.ts';
import { saveTraining } from './training-state.ts';
import { secondsLeft, type WorkflowEvent } from './workflow.ts';

export interface LoopContext extends TrainingSampleContext {
  readonly plan: StagePlan;
  /** Steps of all stages together. */
  readonly total: number;
  /** Everything that the method has trained before this stage goes on. */
  readonly trained: ReadonlyMap<string, HostTensor>;
  readonly control: TrainControl;
}

/** Mean loss of the last steps of each phase, by its name; a phase that had none is absent. */
export type TrainingLosses = Readonly<Record<string, number>>;

/** Steps that a mean loss is taken over. */
const RECENT_STEPS = 50;

/** Trains from step `first` to the stage's last one: steps, checkpoints, samples, and an end at Ctrl-C. */
export async function* trainingLoop(
  session: TrainingSession,
  run: OpenRun,
  first: number,
  loopContext: LoopContext,
): AsyncGenerator<WorkflowEvent, TrainingLosses> {
  const { request, context, control, plan, total, trained } = loopContext;
  const { checkpointEvery, keepCheckpoints } = request;
  const rate = rateOf(plan);
  const started = context.clock();
  const recent: Record<string, number[]> = {};
  let saved = first;
  const samplesDue = (step: number) =>
    request.sampleEvery > 0 && step > 0 && (step % request.sampleEvery === 0 || step === total);
  // An interruption after the checkpoint may have cost its samples.
  if (samplesDue(first) && !existsSync(sampleSheetPath(run, first))) {
    yield* trainingSamples(run, first, session.trainer, loopContext);
  }
  for (let step = first; step < plan.end; step++) {
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
    const { phase, timesteps } = report.plan;
    recent[phase] = [...(recent[phase] ?? []).slice(1 - RECENT_STEPS), report.loss];
    const now = context.clock();
    yield {
      type: 'step',
      step: done,
      total,
      ...(plan.stages > 1 && { stage: stageOf(plan, done) }),
      phase,
      loss: report.loss,
      learningRate,
      gradientNorm: report.gradientNorm,
      durationMs: now - before,
      secondsLeft: secondsLeft(started, now, done - first, plan.end - first)!,
      timesteps,
      ...(report.identityWeights && { identityWeights: report.identityWeights }),
      ...(report.numbers && { numbers: report.numbers }),
    };
    const stopping = context.signal?.aborted === true || done === control.stopAfter;
    const sampling = samplesDue(done);
    // Before samples too: they take long enough to be interrupted in.
    if (stopping || sampling || done === plan.end || done % checkpointEvery === 0) {
      yield {
        type: 'artifact',
        kind: 'checkpoint',
        path: await saveTraining(session, trained, run, done, keepCheckpoints),
      };
      saved = done;
    }
    if (stopping && done < total) {
      yield { type: 'notice', message: `saved step ${done} of ${total}` };
      throw new CancelledError('training');
    }
    if (sampling) yield* trainingSamples(run, done, session.trainer, loopContext);
  }
  return Object.fromEntries(Object.entries(recent).map(([phase, losses]) => [phase, mean(losses)]));
}

function stageOf({ stage: { name }, index, stages, first, end }: StagePlan, done: number) {
  return { name, number: index + 1, of: stages, step: done - first, total: end - first };
}

function endedAt(step: number, saved: number): string {
  const kept = saved > 0 ? `the checkpoint of step ${saved} is intact` : 'there was no checkpoint yet';
  return `step ${step} was not done, and would fail in the same way again; ${kept}`;
}

/** The rate of a step of the whole run; each stage has a schedule of its own. */
function rateOf({ recipe, first, end }: StagePlan): (step: number) => number {
  const rate = learningRateSchedule({
    kind: recipe.schedule,
    baseLearningRate: recipe.learningRate,
    warmupSteps: recipe.warmupSteps,
    totalSteps: end - first,
  });
  return (step) => rate(step - first);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
