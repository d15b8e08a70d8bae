import { mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { latestCheckpoint, saveCheckpoint } from '../store/checkpoint.ts';
import { type EventLog, openEventLog } from '../store/event-log.ts';
import { createRun, type OpenRun, openRun, readRun, requireSameRequest } from '../store/run-folder.ts';
import { writeFileAtomic } from '../tensor/atomic-file.ts';
import { DualrealError, throwIfCancelled } from '../tensor/errors.ts';
import { averageOf } from '../toybox/pretrain/session.ts';
import { readShipped } from '../toybox/pretrain/shipped.ts';
import { TEXT_TOKENS, t5TokenizerFiles, tokenizerOf } from '../toybox/pretrain/tokenizers.ts';
import { type LatentBank, openLatentBank } from '../toybox/pretrain/transformer/bank.ts';
import {
  type BaseParts,
  readBaseParts,
  transformerSchedule,
} from '../toybox/pretrain/transformer/base-parts.ts';
import { latentBatch } from '../toybox/pretrain/transformer/batches.ts';
import { openTransformerReview } from '../toybox/pretrain/transformer/review.ts';
import { TransformerSession } from '../toybox/pretrain/transformer/session.ts';
import {
  batchOfStep,
  kindOfStep,
  type SampleKind,
  sampleKindOf,
} from '../toybox/pretrain/transformer/variants.ts';
import { drawCurves } from './pretrain-curves.ts';
import { type TransformerPlan, transformerConfigOf, transformerPlan } from './pretrain-transformer-plan.ts';
import type { PretrainTransformerRequest } from './pretrain-transformer-request.ts';
import { universePreparation } from './preview-universe.ts';
import type { WorkflowContext, WorkflowEvent } from './workflow.ts';

export interface PretrainTransformerResult {
  readonly runFolder: string;
  readonly step: number;
  readonly totalSteps: number;
  readonly seconds: number;
}

/** Name under which a run begins with the base's own transformer, where no run's state is left. */
const SHIPPED = 'shipped';

type Events<Result> = AsyncGenerator<WorkflowEvent, Result>;

export function transformerRunFolder({
  stateFolder,
  name,
  variant,
}: Pick<PretrainTransformerRequest, 'stateFolder' | 'name' | 'variant'>): string {
  return join(stateFolder, name ?? (variant === 'shipped' ? 'transformer' : `transformer-${variant}`));
}

/**
 * Pretrains the diffusion transformer over the base's finished VAE and text encoder: samples are rendered and
 * encoded once, then trained on; images first, then clips with images between. Everything random is a
 * function of (seed, step), so that a resumed run goes on bit by bit on the same device.
 */
export async function* pretrainTransformer(
  request: PretrainTransformerRequest,
  context: WorkflowContext,
): Events<PretrainTransformerResult> {
  yield* universePreparation(request, context.signal);
  const parts = await readBaseParts(request.weightsFolder);
  const plan = transformerPlan(request);
  const identity = { ...plan.identity, vae: parts.vaeHash.slice(0, 16), text: parts.textHash.slice(0, 16) };
  const folder = transformerRunFolder(request);
  const run = request.resume
    ? await openRun(folder)
    : await createRun(folder, identity, { node: process.version });
  const log = await openEventLog(join(run.path, 'metrics.jsonl'));
  try {
    requireSameRequest(run, identity);
    for (const message of run.notices) yield { type: 'notice', message };
    const banks = {
      images: yield* bankOf('images', plan, parts, request, context),
      clips: yield* bankOf('clips', plan, parts, request, context),
    };
    return yield* trainIn(run, log, plan, parts, banks, request, context);
  } finally {
    await log.close();
    await run.close();
  }
}

async function* bankOf(
  kind: SampleKind,
  { variant }: TransformerPlan,
  parts: BaseParts,
  { stateFolder, cacheFolder, seed, device, threads, renderThreads }: PretrainTransformerRequest,
  context: WorkflowContext,
): Events<LatentBank> {
  const started = context.clock();
  const building = openLatentBank(() => context.openRuntime({ device, threads }), parts, {
    folder: join(stateFolder, 'latents'),
    cacheFolder,
    seed,
    stage: variant.recipe.stage,
    frames: kind === 'images' ? 1 : variant.frames,
    count: variant[kind],
    threads: renderThreads ?? Math.max(1, availableParallelism() - 1),
    signal: context.signal,
  });
  let first: number | undefined;
  for (;;) {
    const { done, value } = await building.next();
    if (done) return value;
    first ??= value.done;
    const perSample = (context.clock() - started) / 1000 / Math.max(1, value.done - first);
    yield {
      type: 'progress',
      stage: `encoding ${kind}`,
      ...value,
      secondsLeft: perSample * (value.total - value.done),
    };
  }
}

async function* trainIn(
  run: OpenRun,
  log: EventLog,
  { variant, microBatches }: TransformerPlan,
  parts: BaseParts,
  banks: Readonly<Record<SampleKind, LatentBank>>,
  request: PretrainTransformerRequest,
  context: WorkflowContext,
): Events<PretrainTransformerResult> {
  const { clock, signal } = context;
  const { seed, device, threads } = request;
  const started = clock();
  const { checkpoint, notices } = await latestCheckpoint(run);
  for (const message of notices) yield { type: 'notice', message };
  const totalSteps = request.steps ?? (checkpoint?.progress.totalSteps as number) ?? variant.recipe.steps;
  const scheduled = { ...variant, recipe: { ...variant.recipe, steps: totalSteps } };
  const config = transformerConfigOf(variant, parts);
  const schedule = transformerSchedule();
  const earlierSeconds = Number(checkpoint?.progress.seconds ?? 0);
  const seconds = () => earlierSeconds + (clock() - started) / 1000;
  let step = checkpoint?.step ?? 0;

  const runtime = context.openRuntime({ device, threads });
  try {
    const options = { seed, microBatches };
    const session = await TransformerSession.open(runtime, config, scheduled, parts.textWeights, options);
    yield {
      type: 'stage',
      stage: 'pretraining transformer',
      detail: `${session.parameterCount} parameters, step ${step}`,
    };
    if (checkpoint) await session.load(checkpoint.tensors);
    else if (request.startFrom === SHIPPED) {
      await session.start(await readShipped(request.weightsFolder, 'transformer'));
      yield { type: 'notice', message: `parameters from ${join(request.weightsFolder, 'transformer')}` };
    } else if (request.startFrom) {
      const earlier = await readRun(join(request.stateFolder, request.startFrom));
      const found = (await latestCheckpoint(earlier)).checkpoint;
      if (!found) throw new DualrealError({ where: earlier.path, expected: 'a checkpoint', got: 'none' });
      await session.start(averageOf(found.tensors));
      yield { type: 'notice', message: `parameters from step ${found.step} of ${earlier.path}` };
    }
    const review = await openTransformerReview(runtime, config, parts, {
      variant,
      cacheFolder: request.cacheFolder,
    });
    const tokenizer = tokenizerOf(t5TokenizerFiles(), 'T5');
    const emptyTokens = Int16Array.from(tokenizer.encode('', TEXT_TOKENS).ids.data as BigInt64Array, Number);
    /** A step's micro-batches, numbered through, so that each has its own random numbers. */
    const batchesOf = (at: number) => {
      const kind = kindOfStep(variant, at);
      const bank = banks[sampleKindOf(kind)];
      const [frames, , rows, columns] = bank.shape;
      const whole = batchOfStep(variant, kind, frames * rows * columns);
      const tokens = kind === 'parts' ? variant.clipTokens : undefined;
      const batchOptions = { ...variant, seed, batch: whole / microBatches, emptyTokens, tokens };
      return Array.from({ length: microBatches }, (_, i) =>
        latentBatch(bank, schedule, batchOptions, at * microBatches + i),
      );
    };
    const save = async () => {
      await log.sync();
      const progress = { totalSteps, seconds: seconds() };
      await saveCheckpoint(run, { step, tensors: await session.state(), progress });
    };
    const show = async () => {
      const kind: SampleKind = step <= variant.imageSteps ? 'images' : 'clips';
      const average = await session.average();
      await mkdir(run.samplesFolder, { recursive: true });
      const sheet = join(run.samplesFolder, `${kind}-${String(step).padStart(7, '0')}.png`);
      await writeFileAtomic(sheet, await review(average, kind));
      const curves = join(run.path, 'curves.png');
      await writeFileAtomic(curves, await drawCurves('transformer', log.path));
      return { sheet, curves };
    };

    const firstStep = step;
    const training = clock();
    let savedMs = clock();
    let shownMs = clock();
    const isDue = (sinceMs: number, minutes: number) => clock() - sinceMs > minutes * 60_000;
    let next = step < totalSteps ? batchesOf(step) : [];
    while (step < totalSteps && !signal?.aborted) {
      if (request.minutes !== undefined && isDue(started, request.minutes)) break;
      const before = clock();
      const working = session.step(kindOfStep(variant, step), step, next);
      // Noise for the next step is drawn while the engine's thread computes this one.
      if (step + 1 < totalSteps) next = batchesOf(step + 1);
      const done = await working;
      step++;
      const left = ((clock() - training) / (step - firstStep)) * (totalSteps - step);
      const facts = { step, ...done, durationMs: Math.round(clock() - before) };
      await log.append(facts);
      yield { type: 'pretrain', model: 'transformer', total: totalSteps, secondsLeft: left / 1000, ...facts };
      if (isDue(savedMs, request.checkpointMinutes)) {
        await save();
        savedMs = clock();
      }
      if (isDue(shownMs, request.reviewMinutes)) {
        const { sheet, curves } = await show();
        yield { type: 'artifact', kind: 'sheet', path: sheet };
        yield { type: 'artifact', kind: 'curves', path: curves };
        shownMs = clock();
      }
    }
    await save();
    yield { type: 'notice', message: `transformer: saved at step ${step} of ${totalSteps}` };
    throwIfCancelled(signal, 'pretraining the transformer');
    const { sheet, curves } = await show();
    yield { type: 'artifact', kind: 'sheet', path: sheet };
    yield { type: 'artifact', kind: 'curves', path: curves };
    return { runFolder: run.path, step, totalSteps, seconds: seconds() };
  } finally {
    await runtime.close();
  }
}
