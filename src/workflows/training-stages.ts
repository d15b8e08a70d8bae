import { existsSync } from 'node:fs';
import type { Runtime } from '../runtime/index.ts';
import type { OpenRun } from '../store/run-folder.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import type { Base } from './base.ts';
import type { StagePlan, TrainPlan } from './train-plan.ts';
import type { TrainControl, TrainRequest } from './train-request.ts';
import type { TrainingData } from './training-data.ts';
import { type TrainingLosses, trainingLoop } from './training-loop.ts';
import { isOverwritten, stageFile, writeCopy } from './training-result.ts';
import { TrainingSession } from './training-session.ts';
import { restoreTraining } from './training-state.ts';
import type { WorkflowContext, WorkflowEvent } from './workflow.ts';

/** What the stages of a run share. */
export interface StageContext {
  readonly run: OpenRun;
  readonly request: TrainRequest;
  readonly plan: TrainPlan;
  readonly base: Base;
  readonly data: TrainingData;
  readonly runtime: Runtime;
  readonly context: WorkflowContext;
  readonly control: TrainControl;
}

/** Trains the stages that are left, each from the result of the one before, with a fresh optimizer. */
export async function* trainStages(
  made: StageContext,
): AsyncGenerator<
  WorkflowEvent,
  { readonly trained: ReadonlyMap<string, HostTensor>; readonly losses: TrainingLosses }
> {
  const { run, request, plan, base, data } = made;
  const { method, stages, steps } = plan;
  const restored = await restoreTraining(run, () =>
    method.initial(base.transformer, {
      seed: request.seed,
      base: (name) => base.transformerWeights.read(name),
      ...(data.classWord && { classWord: async () => data.classWord! }),
    }),
  );
  for (const message of restored.notices) yield { type: 'notice', message };
  const { trained } = restored;
  let losses: TrainingLosses = {};
  for (const stage of stages) {
    const first = Math.max(stage.first, restored.step);
    // The last one is opened even where it is done: its samples may be missing.
    if (first >= stage.end && (stage.end < steps || stage.first === stage.end)) continue;
    const before = stages[stage.index - 1];
    if (before && first === stage.first && isOverwritten(before, plan)) {
      const path = stageFile(run, before);
      if (!existsSync(path)) await writeCopy(path, { request, plan, base, data, trained });
      yield { type: 'artifact', kind: `copy after stage ${before.stage.name}`, path };
    }
    if (restored.step > 0 && restored.step >= stage.first) {
      yield { type: 'stage', stage: 'resuming', detail: `from step ${restored.step}` };
    }
    const isHalfDone = first > stage.first;
    const done = yield* trainStage(stage, first, trained, isHalfDone ? restored.optimizer : undefined, made);
    losses = { ...losses, ...done };
  }
  return { trained, losses };
}

/** Trains one stage; while it lasts, `trained` holds what its trainer does not. */
async function* trainStage(
  stage: StagePlan,
  first: number,
  trained: Map<string, HostTensor>,
  optimizer: Map<string, HostTensor> | undefined,
  { run, request, plan, base, data, runtime, context, control }: StageContext,
): AsyncGenerator<WorkflowEvent, TrainingLosses> {
  const { name } = stage.stage;
  const many = stage.stages > 1;
  yield {
    type: 'stage',
    stage: 'building the training programs',
    ...(many && {
      detail: `stage ${name} (${stage.index + 1} of ${stage.stages}), ${stage.end - stage.first} steps`,
    }),
  };
  const { method } = plan;
  const { transformer: config, schedule, scalingFactor, residence } = base;
  const { seed, motionRatio, timestepBias, recompute } = request;
  const session = await TrainingSession.open(
    runtime,
    {
      ...{ config, method, plan: stage, schedule, scalingFactor, weights: base.transformerWeights.entries },
      ...{ seed, motionRatio, timestepBias, features: data.features, emptyText: data.emptyText },
      ...{ recompute, residence },
    },
    trained,
    optimizer,
  );
  try {
    if (first < stage.end) yield* predict(session, stage, first, request, context);
    const losses = yield* trainingLoop(session, run, first, {
      ...{ request, base, method, plan: stage, total: plan.steps, trained, data, runtime, context, control },
    });
    for (const [parameter, tensor] of (await session.read()).parameters) trained.set(parameter, tensor);
    return losses;
  } finally {
    await session.close();
  }
}

/** Rehearses a step of each phase, without any effect on the run, and tells what the steps from `first` on take. */
async function* predict(
  session: TrainingSession,
  { stage, end }: StagePlan,
  first: number,
  { motionRatio }: TrainRequest,
  context: WorkflowContext,
): AsyncGenerator<WorkflowEvent> {
  const measured = await session.rehearse(context.clock);
  const isDrawn = stage.order === 'drawn' && measured.size > 1;
  const shareOf = (data: string) => (data === 'motion' ? motionRatio : 1 - motionRatio);
  let meanMs = 0;
  for (const { name, data } of stage.phases) {
    meanMs += measured.get(name)! * (isDrawn ? shareOf(data) : 1 / measured.size);
  }
  const times = [...measured].map(([name, ms]) => `${ms.toFixed(0)} ms per ${name} step`);
  yield {
    type: 'estimate',
    seconds: (meanMs * (end - first)) / 1000,
    memoryBytes: process.memoryUsage.rss(),
    detail: `${times.join(', ')}, measured on this machine`,
  };
}
