import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { cellsOfVideo, encodeVideo, fromModelRange, writeContactSheet } from '../media/index.ts';
import { FeatureCache } from '../store/feature-cache.ts';
import { CancelledError, FileFormatError, throwIfCancelled } from '../tensor/errors.ts';
import { asFloats, type FloatTensor, floats } from '../tensor/host-tensor.ts';
import { readSafetensorsFile } from '../tensor/safetensors.ts';
import type { Base } from './base.ts';
import { alone, type Job, jobsOf, recipeOf } from './generate-jobs.ts';
import { sampleLatents } from './generate-latents.ts';
import { type GenerateRequest, withAbsolutePaths } from './generate-request.ts';
import { openSource } from './generate-source.ts';
import type { LatentDecoder } from './latent-decoder.ts';
import type { WorkflowContext, WorkflowEvent } from './workflow.ts';

/** A finished video and where everything about it lies. */
export type GeneratedVideo = Job;

type Generation = AsyncGenerator<WorkflowEvent, readonly GeneratedVideo[]>;

/**
 * Makes the videos of a request. Each has a folder of its own, named after its recipe; what is already
 * there (a finished video, saved latents, a half-done denoising or decoding) is taken up, not made again.
 */
export async function* generate(request: GenerateRequest, context: WorkflowContext): Generation {
  try {
    return yield* generateAll(withAbsolutePaths(request), context);
  } catch (error) {
    if (error instanceof CancelledError) {
      yield { type: 'notice', message: 'stopped; the same command goes on from here' };
    }
    throw error;
  }
}

async function* generateAll(request: GenerateRequest, context: WorkflowContext): Generation {
  const source = await openSource(request, new FeatureCache(context.cacheFolder));
  for (const message of source.notices) yield { type: 'notice', message };
  const recipe = await recipeOf(request, source);
  const jobs = jobsOf(request, source, recipe);
  const open = jobs.filter(({ video }) => !existsSync(video));
  for (const { folder } of jobs.filter((job) => !open.includes(job))) {
    yield { type: 'notice', message: `already there: ${folder}` };
  }
  if (open.length === 0) return jobs;
  const runtime = context.openRuntime(request);
  try {
    const unsampled = open.filter(({ latents }) => !existsSync(latents));
    if (unsampled.length > 0) yield* sampleLatents(unsampled, request, recipe, source, runtime, context);
    const decoder = source.base.openDecoder(runtime);
    try {
      for (const job of open) {
        throwIfCancelled(context.signal, 'decoding');
        yield* alone(job, decodeOne(job, recipe.fps, source.base, decoder, context));
      }
    } finally {
      await decoder.release();
    }
  } finally {
    await runtime.close();
  }
  return jobs;
}

async function* decodeOne(
  { prompt, seed, folder, latents: latentsPath, video, sheet }: Job,
  fps: number,
  base: Base,
  decoder: LatentDecoder,
  context: WorkflowContext,
): AsyncGenerator<WorkflowEvent> {
  const latents = await readLatents(latentsPath);
  const kept = join(folder, 'decode');
  const frames = yield* decoder.decode(scaled(latents, 1 / base.scalingFactor), kept, context);
  const pixels = fromModelRange(frames);
  await writeContactSheet(sheet, [{ label: prompt, cells: cellsOfVideo(pixels, 9) }]);
  await encodeVideo(video, pixels, { fps, comment: `dualreal: ${prompt} (seed ${seed})` });
  await decoder.clean(kept);
  yield { type: 'artifact', kind: 'contact sheet', path: sheet };
  yield { type: 'artifact', kind: 'video', path: video };
}

async function readLatents(path: string): Promise<FloatTensor> {
  try {
    const latents = (await readSafetensorsFile(path)).get('latents');
    if (latents) return asFloats(latents);
  } catch (cause) {
    if (!(cause instanceof FileFormatError)) throw cause;
    throw damagedLatents(path, cause);
  }
  throw damagedLatents(path);
}

/** Not made again unasked: on a real base they are hours of work that may be worth saving. */
function damagedLatents(path: string, cause?: FileFormatError): FileFormatError {
  return new FileFormatError({
    where: path,
    expected: cause?.expected ?? 'a tensor named latents',
    got: cause?.got ?? 'none',
    hint: 'the file is damaged; delete it, and the same command denoises this video again',
    cause,
  });
}

function scaled(tensor: FloatTensor, factor: number): FloatTensor {
  return floats(
    tensor.shape,
    tensor.data.map((value) => value * factor),
  );
}
