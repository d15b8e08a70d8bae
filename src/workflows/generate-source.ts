import { existsSync, type Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { DualRealOptions } from '../methods/dualreal/index.ts';
import {
  type AdapterFile,
  optionsOfShape,
  readAdapterFile,
  requireAdapterFitsBase,
} from '../store/adapter-file.ts';
import type { FeatureCache } from '../store/feature-cache.ts';
import { type RunFolder, readRun } from '../store/run-folder.ts';
import { DualrealError } from '../tensor/errors.ts';
import { type Base, openBase } from './base.ts';
import { baseOfAdapter, EMBEDDED_BASE } from './base-location.ts';
import type { GenerateRequest } from './generate-request.ts';
import { REFERENCE_FILE } from './prepare.ts';
import { requireSampleSize } from './sample-size.ts';
import { trainedImageEncoder } from './train-request.ts';
import { shellWord } from './workflow.ts';

/** Nothing to work with: an adapter without a base, a base without an image encoder. */
export class GenerateError extends DualrealError {}

/** What a request generates with. */
export interface Source {
  readonly base: Base;
  readonly run: RunFolder | undefined;
  readonly adapter: AdapterFile | undefined;
  /** DualReal's options; undefined for the base alone. */
  readonly options: DualRealOptions | undefined;
  /** Photo for the motion adapters' condition. */
  readonly reference: string | undefined;
  /** Pixels, frames, frames per second: as asked, else as trained, else the base's own. */
  readonly size: {
    readonly width: number;
    readonly height: number;
    readonly frames: number;
    readonly fps: number;
  };
  /** What a user should know before anything is made. */
  readonly notices: readonly string[];
}

/** Opens base and adapters of a request and checks that they fit each other and what is asked of them. */
export async function openSource(request: GenerateRequest, cache: FeatureCache): Promise<Source> {
  const { run, adapter } = await openAdapter(request);
  const imageEncoder = request.imageEncoder ?? trainedImageEncoder(run?.request);
  const base = await openBase(basePath(request, run, adapter), { imageEncoder, cache });
  const notices = base.notice ? [base.notice] : [];
  if (adapter) {
    const hash = adapter.recipe?.base.hash ? await base.transformerWeights.hash() : undefined;
    notices.push(...requireAdapterFitsBase(adapter, base.transformer, hash));
  }
  const trained = adapter?.recipe?.size;
  const size = {
    width: request.width ?? trained?.width ?? base.nominal.width,
    height: request.height ?? trained?.height ?? base.nominal.height,
    frames: request.frames ?? trained?.frames ?? base.nominal.frames,
    fps: request.fps ?? base.nominal.fps,
  };
  requireSampleSize(size, base.sizeRule);
  requireSampling(request, base);
  return {
    base,
    run,
    adapter,
    options: adapter && (adapter.recipe?.options ?? optionsOfShape('official', adapter.shape)),
    reference: referenceOf(request, base, run, adapter, notices),
    size,
    notices,
  };
}

async function openAdapter({
  adapter: path,
}: GenerateRequest): Promise<Partial<Pick<Source, 'run' | 'adapter'>>> {
  if (path === undefined) return {};
  const facts = await factsOf(path);
  if (!facts) {
    throw new GenerateError({
      where: path,
      expected: 'a run folder or an adapter file',
      got: 'nothing there',
    });
  }
  if (!facts.isDirectory()) return { adapter: await readAdapterFile(path) };
  const run = await readRun(path);
  if (!existsSync(run.adapterFile)) {
    throw new GenerateError({
      where: run.path,
      expected: 'a finished run with adapter.safetensors',
      got: 'none yet',
      hint: `go on training with: dualreal train --resume ${shellWord(run.path)}`,
    });
  }
  return { run, adapter: await readAdapterFile(run.adapterFile) };
}

/** Undefined where there is nothing; a path that may not be looked at is an error of its own. */
async function factsOf(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

function basePath(
  request: GenerateRequest,
  run: RunFolder | undefined,
  adapter: AdapterFile | undefined,
): string {
  const name = adapter?.recipe?.base.name;
  const path = request.base ?? run?.request.base ?? (adapter ? baseOfAdapter(name) : EMBEDDED_BASE);
  if (typeof path === 'string') return path;
  throw new GenerateError({
    where: 'option --base',
    expected: 'the base model to use',
    got: 'none',
    hint: name ? `the adapter was trained on ${name}: give its folder` : 'give its folder',
  });
}

/** Refuses what the sampler would refuse later, when prompts are encoded and folders made. */
function requireSampling({ steps, seed, count }: GenerateRequest, { schedule }: Base): void {
  const { trainTimesteps } = schedule.config;
  if (steps > trainTimesteps) {
    throw new GenerateError({
      where: 'option --steps',
      expected: `at most ${trainTimesteps}, the base's training timesteps`,
      got: String(steps),
    });
  }
  if (count - 1 > Number.MAX_SAFE_INTEGER - seed) {
    throw new GenerateError({
      where: 'option --seed',
      expected: `a seed with room for ${count} after it`,
      got: String(seed),
    });
  }
}

/** The reference photo: the one asked for, else one kept with the run; none where nothing would see it. */
function referenceOf(
  request: GenerateRequest,
  base: Base,
  run: RunFolder | undefined,
  adapter: AdapterFile | undefined,
  notices: string[],
): string | undefined {
  const { reference: asked, noReference } = request;
  if (noReference) return undefined;
  if (!adapter || adapter.recipe?.folded) {
    if (asked)
      notices.push(
        `the reference photo is not used: ${adapter ? 'one is folded into the adapters' : 'the base alone takes none'}`,
      );
    return undefined;
  }
  const kept = run && join(run.path, REFERENCE_FILE);
  const path = asked ?? (kept && existsSync(kept) ? kept : undefined);
  if (path === undefined) {
    notices.push(
      'no reference photo: the motion adapters run without their condition (give one with --reference)',
    );
    return undefined;
  }
  if (!existsSync(path)) {
    throw new GenerateError({ where: path, expected: 'a photo of the subject', got: 'no file' });
  }
  if (base.image) return path;
  throw new GenerateError({
    where: base.folder,
    expected: 'an image encoder for the reference photo',
    got: 'none in the base',
    hint: 'give the one of the training with --image-encoder, or go without the photo with --no-reference',
  });
}
