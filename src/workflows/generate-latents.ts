import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Sampler,
  type SamplerState,
  samplerStateFromTensors,
  samplerStateToTensors,
} from '../diffusion/index.ts';
import type { FileRegion, Runtime } from '../runtime/index.ts';
import { openEventLog } from '../store/event-log.ts';
import { FeatureCache } from '../store/feature-cache.ts';
import { CancelledError, FileFormatError } from '../tensor/errors.ts';
import { type HostTensor, reshaped } from '../tensor/host-tensor.ts';
import { readSafetensorsFile, writeSafetensorsFile } from '../tensor/safetensors.ts';
import type { Conditioning } from './denoise.ts';
import { encodeText } from './encode-text.ts';
import { alone, type Job, type Recipe, writeRecord } from './generate-jobs.ts';
import type { GenerateRequest } from './generate-request.ts';
import type { Source } from './generate-source.ts';
import { encodeReferenceFile } from './prepare.ts';
import { type SampleRequest, SamplingSession } from './sampling-session.ts';
import { promptSubject } from './subject-word.ts';
import { secondsLeft, type WorkflowContext, type WorkflowEvent } from './workflow.ts';

/** Denoises the latents of every job that has none yet; each is saved before anything is decoded. */
export async function* sampleLatents(
  jobs: readonly Job[],
  request: GenerateRequest,
  recipe: Recipe,
  source: Source,
  runtime: Runtime,
  context: WorkflowContext,
): AsyncGenerator<WorkflowEvent> {
  yield { type: 'stage', stage: 'encoding prompts' };
  const conditionings = yield* encodeConditions(request, recipe, source, runtime, context);
  const { base, trained, size, reference } = source;
  const weights = new Map<string, FileRegion | HostTensor>(base.transformerWeights.entries);
  for (const [name, tensor] of trained?.tensors ?? []) weights.set(name, tensor);
  const session = await SamplingSession.open(runtime, {
    config: base.transformer,
    schedule: base.schedule,
    weights,
    method: trained?.method,
    ...base.latentSize(size),
    guided: recipe.guidance > 1,
    conditioned: reference !== undefined,
    residence: base.residence,
  });
  try {
    for (const [index, job] of jobs.entries()) {
      const { prompt, seed } = job;
      const stage = `video ${index + 1} of ${jobs.length}`;
      yield { type: 'stage', stage, detail: `"${prompt}", seed ${seed}` };
      await mkdir(job.folder, { recursive: true });
      await writeRecord(job, recipe, request);
      const sampling: SampleRequest = {
        seed,
        steps: recipe.steps,
        sampler: recipe.sampler,
        guidance: recipe.guidance,
        guidanceKind: recipe.guidanceSchedule,
        conditioning: conditionings.get(prompt)!,
        noiseOffset: recipe.noiseOffset,
        signal: context.signal,
      };
      yield* alone(job, sampleOne(session, job, sampling, context));
    }
  } finally {
    await session.close();
  }
}

async function* encodeConditions(
  request: GenerateRequest,
  { guidance }: Recipe,
  { base, reference, trained }: Source,
  runtime: Runtime,
  context: WorkflowContext,
): AsyncGenerator<WorkflowEvent, ReadonlyMap<string, Conditioning>> {
  const cache = new FeatureCache(context.cacheFolder);
  const notices: string[] = [];
  const notice = (message: string) => notices.push(message);
  const encoders = await base.openEncoders(runtime);
  const conditionings = new Map<string, Conditioning>();
  try {
    const text = async (prompt: string) => {
      const embedding = await encodeText(prompt, encoders, cache, notice);
      return reshaped(embedding, [1, ...embedding.shape]);
    };
    const negative = guidance > 1 ? await text(request.negativePrompt) : undefined;
    const image = reference ? await encodeReferenceFile(reference, encoders, cache, notice) : undefined;
    for (const prompt of new Set(request.prompts)) {
      const { subjectTokens, notice: unnamed } = trained
        ? await promptSubject(prompt, trained, encoders)
        : {};
      if (unnamed) notice(unnamed);
      conditionings.set(prompt, { positive: await text(prompt), negative, image, subjectTokens });
    }
  } finally {
    await encoders.release();
  }
  for (const message of notices) yield { type: 'notice', message };
  return conditionings;
}

const STATE_FILE = 'state.safetensors';
/** Steps between saved states of the sampler. */
const SAVE_STATE_EVERY = 10;

async function* sampleOne(
  session: SamplingSession,
  job: Job,
  sampling: SampleRequest,
  context: WorkflowContext,
): AsyncGenerator<WorkflowEvent> {
  const log = await openEventLog(join(job.folder, 'events.jsonl'));
  const sampler = session.sampler(sampling);
  const statePath = join(job.folder, STATE_FILE);
  const save = (state: SamplerState) =>
    writeSafetensorsFile(statePath, samplerStateToTensors(sampler, state), {});
  let current: SamplerState | undefined;
  try {
    const { state: saved, notice } = await savedState(sampler, statePath, sampling.steps);
    if (notice) yield { type: 'notice', message: notice };
    const started = context.clock();
    const first = saved?.stepIndex ?? 0;
    for await (const { state, timestep, guidance, identityWeights } of session.sample(sampling, saved)) {
      const left = secondsLeft(started, context.clock(), state.stepIndex - first, sampling.steps - first);
      const event: WorkflowEvent = {
        type: 'denoise',
        step: state.stepIndex,
        total: sampling.steps,
        timestep,
        guidance,
        secondsLeft: left ?? 0,
        ...(identityWeights && { identityWeights }),
      };
      await log.append(event);
      yield event;
      current = state;
      if (state.stepIndex % SAVE_STATE_EVERY === 0) await save(state);
    }
    const latents = (current ?? saved)!.sample;
    await writeSafetensorsFile(job.latents, new Map([['latents', latents]]), {
      format: 'dualreal-latents-1',
    });
    await rm(statePath, { force: true });
  } catch (error) {
    // A step of a real base takes long: none that was done is given up.
    if (error instanceof CancelledError && current) await save(current);
    throw error;
  } finally {
    await log.close();
  }
}

async function savedState(
  sampler: Sampler,
  path: string,
  steps: number,
): Promise<{ readonly state?: SamplerState; readonly notice?: string }> {
  if (!existsSync(path)) return {};
  try {
    const state = samplerStateFromTensors(sampler, await readSafetensorsFile(path));
    return { state, notice: `going on at step ${state.stepIndex} of ${steps}` };
  } catch (error) {
    if (!(error instanceof FileFormatError)) throw error;
    return { notice: `starting again, because a saved state is damaged: ${error.message}` };
  }
}
