import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { FeatureCache } from '../store/feature-cache.ts';
import type { RunFolder } from '../store/run-folder.ts';
import { DualrealError } from '../tensor/errors.ts';
import { type Base, openBase } from './base.ts';
import { baseOfAdapter, EMBEDDED_BASE } from './base-location.ts';
import type { GenerateRequest } from './generate-request.ts';
import { REFERENCE_FILE } from './prepare.ts';
import { requireSampleSize } from './sample-size.ts';
import { trainedImageEncoder } from './train-request.ts';
import { type FittedModel, openTrained, type TrainedModel } from './trained-model.ts';

/** Nothing to work with: an adapter without a base, a base without an image encoder. */
export class GenerateError extends DualrealError {}

/** What a request generates with. */
export interface Source {
  readonly base: Base;
  readonly run: RunFolder | undefined;
  /** What was trained; undefined for the base alone. */
  readonly trained: (TrainedModel & FittedModel) | undefined;
  /** Photo for the condition of the method's model. */
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
  const opened = request.adapter === undefined ? undefined : await openTrained(request.adapter);
  const { run, trained: model } = opened ?? {};
  const imageEncoder = request.imageEncoder ?? trainedImageEncoder(run?.request);
  const base = await openBase(basePath(request, run, model), { imageEncoder, cache });
  const fitted = await model?.fit(base);
  const notices = [...(base.notice ? [base.notice] : []), ...(fitted?.notices ?? [])];
  const trained = model?.size;
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
    trained: model && fitted && { ...model, ...fitted },
    reference: referenceOf(request, base, run, model, notices),
    size,
    notices,
  };
}

function basePath(
  request: GenerateRequest,
  run: RunFolder | undefined,
  trained: TrainedModel | undefined,
): string {
  const name = trained?.baseName;
  const path =
    request.base ?? run?.request.base ?? (trained ? baseOfAdapter(name ?? undefined) : EMBEDDED_BASE);
  if (typeof path === 'string') return path;
  throw new GenerateError({
    where: 'option --base',
    expected: 'the base model to use',
    got: 'none',
    hint: name ? `it was trained on ${name}: give its folder` : 'give its folder',
  });
}

/** Refuses what the sampler would refuse later, when prompts are encoded and folders made. */
function requireSampling({ steps, seed, seeds, prompts, count }: GenerateRequest, { schedule }: Base): void {
  const { trainTimesteps } = schedule.config;
  if (steps > trainTimesteps) {
    throw new GenerateError({
      where: 'option --steps',
      expected: `at most ${trainTimesteps}, the base's training timesteps`,
      got: String(steps),
    });
  }
  if (seeds && seeds.length !== prompts.length) {
    throw new GenerateError({
      where: 'seeds',
      expected: `one for each of ${prompts.length} prompts`,
      got: String(seeds.length),
    });
  }
  if (count - 1 > Number.MAX_SAFE_INTEGER - Math.max(seed, ...(seeds ?? []))) {
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
  trained: TrainedModel | undefined,
  notices: string[],
): string | undefined {
  const { reference: asked, noReference } = request;
  if (noReference) return undefined;
  if (!trained?.usesReference) {
    const why = trained?.folded ? 'one is folded into the adapters' : 'the model takes none';
    if (asked) notices.push(`the reference photo is not used: ${why}`);
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
