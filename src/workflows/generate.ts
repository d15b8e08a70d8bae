import { existsSync } from 'node:fs';
import { mkdir, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { samplerStateFromTensors, samplerStateToTensors } from '../diffusion/index.ts';
import { cellsOfVideo, encodeVideo, fromModelRange, writeContactSheet } from '../media/index.ts';
import type { DualRealOptions } from '../methods/dualreal/index.ts';
import type { Runtime } from '../runtime/index.ts';
import {
  type AdapterFile,
  optionsOfShape,
  readAdapterFile,
  requireAdapterFitsBase,
} from '../store/adapter-file.ts';
import { openEventLog } from '../store/event-log.ts';
import { FeatureCache, hashFile } from '../store/feature-cache.ts';
import { encodeJson } from '../store/plain-json.ts';
import { type RunFolder, readRun } from '../store/run-folder.ts';
import { writeFileAtomic } from '../tensor/atomic-file.ts';
import { DualrealError, throwIfCancelled } from '../tensor/errors.ts';
import { asFloats, type FloatTensor, floats, type HostTensor, reshaped } from '../tensor/host-tensor.ts';
import { readSafetensorsFile, writeSafetensorsFile } from '../tensor/safetensors.ts';
import { type Base, openBase } from './base.ts';
import type { Conditioning } from './denoise.ts';
import type { EncoderSource } from './encoders.ts';
import type { GenerateRequest } from './generate-request.ts';
import { outputId } from './output-id.ts';
import { encodeReferenceFile, encodeText, REFERENCE_FILE } from './prepare.ts';
import { type SampleRequest, SamplingSession } from './sampling-session.ts';
import { secondsLeft, type WorkflowContext, type WorkflowEvent } from './workflow.ts';

export interface GeneratedVideo {
  readonly prompt: string;
  readonly seed: number;
  readonly folder: string;
  readonly video: string;
  readonly sheet: string;
}

/** Nothing to work with: an adapter without a base, a base without an image encoder. */
export class GenerateError extends DualrealError {}

interface Job {
  readonly prompt: string;
  readonly seed: number;
  readonly folder: string;
}

interface Source {
  readonly run: RunFolder | undefined;
  readonly adapter: AdapterFile | undefined;
  readonly options: DualRealOptions | undefined;
}

type Generation = AsyncGenerator<WorkflowEvent, readonly GeneratedVideo[]>;

/**
 * Makes the videos of a request. Each has a folder of its own, named after its recipe; what is already
 * there (a finished video, saved latents, a half-done denoising or decoding) is taken up, not made again.
 */
export async function* generate(request: GenerateRequest, context: WorkflowContext): Generation {
  const source = await openSource(request);
  const base = await openBase(baseOf(request, source), { imageEncoder: request.imageEncoder });
  if (base.notice) yield { type: 'notice', message: base.notice };
  if (source.adapter) {
    const hash = source.adapter.recipe?.base.hash ? await base.transformerWeights.hash() : undefined;
    for (const message of requireAdapterFitsBase(source.adapter, base.transformer, hash)) {
      yield { type: 'notice', message };
    }
  }
  const recipe = await recipeOf(request, base, source);
  const jobs = jobsOf(request, source, recipe);
  const open = jobs.filter(({ folder }) => !existsSync(join(folder, 'video.mp4')));
  for (const { folder } of jobs.filter((job) => !open.includes(job))) {
    yield { type: 'notice', message: `already there: ${folder}` };
  }
  const runtime = context.openRuntime(request);
  try {
    if (open.some(({ folder }) => !existsSync(join(folder, 'latents.safetensors')))) {
      yield* sampleAll(open, request, recipe, base, source, runtime, context);
    }
    yield* decodeAll(open, request, base, runtime, context);
  } finally {
    await runtime.close();
  }
  return jobs.map((job) => ({
    ...job,
    video: join(job.folder, 'video.mp4'),
    sheet: join(job.folder, 'sheet.png'),
  }));
}

async function openSource({ adapter: path }: GenerateRequest): Promise<Source> {
  if (path === undefined) return { run: undefined, adapter: undefined, options: undefined };
  const isFolder = (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
  const run = isFolder ? await readRun(path) : undefined;
  if (run && !existsSync(run.adapterFile)) {
    throw new GenerateError({
      where: run.path,
      expected: 'a finished run with adapter.safetensors',
      got: 'none yet',
      hint: `go on training with: dualreal train --resume ${run.path}`,
    });
  }
  const adapter = await readAdapterFile(run?.adapterFile ?? path);
  return { run, adapter, options: adapter.recipe?.options ?? optionsOfShape('official', adapter.shape) };
}

function baseOf(request: GenerateRequest, { run, adapter }: Source): string {
  const path = request.base ?? run?.request.base;
  if (typeof path === 'string') return path;
  const name = adapter?.recipe?.base.name;
  throw new GenerateError({
    where: 'option base',
    expected: 'the base model to use',
    got: 'none',
    hint: name
      ? `the adapter was trained on ${name}: give its folder with --base`
      : 'give its folder with --base',
  });
}

/** Everything that decides how a video looks, besides its prompt and seed. */
async function recipeOf(request: GenerateRequest, base: Base, { run, adapter }: Source) {
  const size = adapter?.recipe?.size;
  const reference = referencePath(request, run);
  return {
    base: base.name,
    adapter: adapter ? await hashFile(adapter.path) : null,
    negativePrompt: request.negativePrompt,
    steps: request.steps,
    guidance: request.guidance,
    guidanceSchedule: request.guidanceSchedule,
    sampler: request.scheduler ?? base.sampler,
    reference: reference ? await hashFile(reference) : null,
    width: request.width ?? size?.width ?? base.nominal.width,
    height: request.height ?? size?.height ?? base.nominal.height,
    frames: request.frames ?? size?.frames ?? base.nominal.frames,
    fps: request.fps ?? base.nominal.fps,
  };
}

type Recipe = Awaited<ReturnType<typeof recipeOf>>;

function referencePath(request: GenerateRequest, run: RunFolder | undefined): string | undefined {
  if (request.noReference) return undefined;
  if (request.reference) return request.reference;
  const kept = run && join(run.path, REFERENCE_FILE);
  return kept && existsSync(kept) ? kept : undefined;
}

function jobsOf(request: GenerateRequest, { run }: Source, recipe: Recipe): Job[] {
  const out = resolve(request.out ?? run?.outputsFolder ?? 'outputs');
  return request.prompts.flatMap((prompt) =>
    Array.from({ length: request.count }, (_, i) => {
      const seed = request.seed + i;
      return { prompt, seed, folder: join(out, outputId(prompt, seed, { prompt, seed, ...recipe })) };
    }),
  );
}

async function* sampleAll(
  jobs: readonly Job[],
  request: GenerateRequest,
  recipe: Recipe,
  base: Base,
  source: Source,
  runtime: Runtime,
  context: WorkflowContext,
): AsyncGenerator<WorkflowEvent> {
  const sample = {
    size: { width: recipe.width, height: recipe.height },
    frames: recipe.frames,
    fps: 'native' as const,
    fit: 'stretch' as const,
    temporalRatio: base.transformer.temporalCompression,
  };
  yield { type: 'stage', stage: 'encoding prompts' };
  const encoders = await base.openEncoders(runtime);
  let conditionings: ReadonlyMap<string, Conditioning>;
  try {
    conditionings = yield* encodeConditions(request, source, encoders, context);
  } finally {
    await encoders.release();
  }
  const [first] = conditionings.values();
  const session = await SamplingSession.open(runtime, {
    config: base.transformer,
    schedule: base.schedule,
    weights: new Map<
      string,
      HostTensor | (typeof base.transformerWeights.entries extends ReadonlyMap<string, infer E> ? E : never)
    >([...base.transformerWeights.entries, ...(source.adapter?.tensors ?? [])]),
    options: source.options,
    form: source.adapter?.shape.form,
    ...base.latentSize(sample),
    guided: first.negative !== undefined,
    conditioned: first.image !== undefined,
    residence: base.residence,
  });
  try {
    for (const [index, job] of jobs.entries()) {
      if (existsSync(join(job.folder, 'latents.safetensors'))) continue;
      yield {
        type: 'stage',
        stage: `video ${index + 1} of ${jobs.length}`,
        detail: `"${job.prompt}", seed ${job.seed}`,
      };
      yield* sampleOne(session, job, request, recipe, conditionings.get(job.prompt)!, context);
    }
  } finally {
    await session.close();
  }
}

async function* encodeConditions(
  request: GenerateRequest,
  { run, adapter, options }: Source,
  encoders: EncoderSource,
  context: WorkflowContext,
): AsyncGenerator<WorkflowEvent, ReadonlyMap<string, Conditioning>> {
  const cache = new FeatureCache(context.cacheFolder);
  const notices: string[] = [];
  const text = async (prompt: string) => {
    const embedding = await encodeText(prompt, encoders, cache, (message) => notices.push(message));
    return reshaped(embedding, [1, ...embedding.shape]);
  };
  const negative = request.guidance > 1 ? await text(request.negativePrompt) : undefined;
  const folded = adapter?.recipe?.folded !== undefined;
  const reference = options && !folded ? referencePath(request, run) : undefined;
  const image = reference
    ? await encodeReferenceFile(reference, encoders, cache, (message) => notices.push(message))
    : undefined;
  const conditionings = new Map<string, Conditioning>();
  for (const prompt of new Set(request.prompts)) {
    conditionings.set(prompt, { positive: await text(prompt), negative, image });
  }
  for (const message of notices) yield { type: 'notice', message };
  return conditionings;
}

const STATE_FILE = 'state.safetensors';
const SAVE_STATE_EVERY = 10;

async function* sampleOne(
  session: SamplingSession,
  job: Job,
  request: GenerateRequest,
  recipe: Recipe,
  conditioning: Conditioning,
  context: WorkflowContext,
): AsyncGenerator<WorkflowEvent> {
  await mkdir(job.folder, { recursive: true });
  const record = { version: 1, prompt: job.prompt, seed: job.seed, ...recipe, request };
  await writeFileAtomic(join(job.folder, 'request.json'), `${encodeJson(record, 'request')}\n`);
  const log = await openEventLog(join(job.folder, 'events.jsonl'));
  const sampling: SampleRequest = {
    seed: job.seed,
    steps: recipe.steps,
    sampler: recipe.sampler,
    guidance: recipe.guidance,
    guidanceKind: recipe.guidanceSchedule,
    conditioning,
    signal: context.signal,
  };
  const sampler = session.sampler(sampling);
  const statePath = join(job.folder, STATE_FILE);
  try {
    const saved = existsSync(statePath)
      ? samplerStateFromTensors(sampler, await readSafetensorsFile(statePath))
      : undefined;
    if (saved) yield { type: 'notice', message: `going on at step ${saved.stepIndex} of ${recipe.steps}` };
    const started = context.clock();
    const first = saved?.stepIndex ?? 0;
    let latents: FloatTensor | undefined;
    for await (const { state, timestep, guidance, identityWeights } of session.sample(sampling, saved)) {
      const left = secondsLeft(started, context.clock(), state.stepIndex - first, recipe.steps - first);
      const event: WorkflowEvent = {
        type: 'denoise',
        step: state.stepIndex,
        total: recipe.steps,
        timestep,
        guidance,
        secondsLeft: left ?? 0,
        ...(identityWeights && { identityWeights }),
      };
      await log.append(event);
      yield event;
      latents = state.sample;
      if (state.stepIndex % SAVE_STATE_EVERY === 0) {
        await writeSafetensorsFile(statePath, samplerStateToTensors(sampler, state), {});
      }
    }
    const path = join(job.folder, 'latents.safetensors');
    await writeSafetensorsFile(path, new Map([['latents', latents!]]), { format: 'dualreal-latents-1' });
    await rm(statePath, { force: true });
  } finally {
    await log.close();
  }
}

async function* decodeAll(
  jobs: readonly Job[],
  request: GenerateRequest,
  base: Base,
  runtime: Runtime,
  context: WorkflowContext,
): AsyncGenerator<WorkflowEvent> {
  if (jobs.length === 0) return;
  const decoder = base.openDecoder(runtime);
  try {
    for (const job of jobs) {
      throwIfCancelled(context.signal, 'decoding');
      const latents = asFloats(
        (await readSafetensorsFile(join(job.folder, 'latents.safetensors'))).get('latents')!,
      );
      const frames = yield* decoder.decode(
        scaled(latents, 1 / base.scalingFactor),
        join(job.folder, 'decode'),
        context,
      );
      const pixels = fromModelRange(frames);
      const fps = request.fps ?? base.nominal.fps;
      const video = join(job.folder, 'video.mp4');
      const sheet = join(job.folder, 'sheet.png');
      await writeContactSheet(sheet, [{ label: job.prompt, cells: cellsOfVideo(pixels, 9) }]);
      await encodeVideo(video, pixels, { fps, comment: `dualreal: ${job.prompt} (seed ${job.seed})` });
      await decoder.clean(join(job.folder, 'decode'));
      yield { type: 'artifact', kind: 'contact sheet', path: sheet };
      yield { type: 'artifact', kind: 'video', path: video };
    }
  } finally {
    await decoder.release();
  }
}

function scaled(tensor: FloatTensor, factor: number): FloatTensor {
  return floats(
    tensor.shape,
    tensor.data.map((value) => value * factor),
  );
}
