import { join, resolve } from 'node:path';
import { hashFile } from '../store/feature-cache.ts';
import { acquireLock } from '../store/lock-file.ts';
import { encodeJson } from '../store/plain-json.ts';
import { writeFileAtomic } from '../tensor/atomic-file.ts';
import type { GenerateRequest } from './generate-request.ts';
import type { Source } from './generate-source.ts';
import { outputId } from './output-id.ts';
import { packageVersions } from './package-versions.ts';

/** One video to make, and the files of its folder. */
export interface Job {
  readonly prompt: string;
  readonly seed: number;
  readonly folder: string;
  readonly latents: string;
  readonly video: string;
  readonly sheet: string;
}

/** Everything that decides how a video looks, besides its prompt and seed. */
export type Recipe = Awaited<ReturnType<typeof recipeOf>>;

/** The release's. */
const GUIDANCE = 6;

export async function recipeOf(request: GenerateRequest, { base, trained, reference, size }: Source) {
  const { guidance, noiseOffset } = trained?.inference ?? {};
  const hashes = await Promise.all((trained?.files ?? []).map((file) => hashFile(file)));
  return {
    base: { name: base.name, hash: await base.hash() },
    adapter: hashes.length > 0 ? hashes.join('+') : null,
    negativePrompt: request.negativePrompt,
    steps: request.steps,
    // A base's own goes before a method's, which was published for another base.
    guidance: request.guidance ?? base.guidance ?? guidance ?? GUIDANCE,
    guidanceSchedule: request.guidanceSchedule,
    sampler: request.scheduler ?? base.sampler,
    reference: reference ? await hashFile(reference) : null,
    imageEncoder: reference && base.image ? await base.image.weights.hash() : null,
    ...size,
    ...(noiseOffset !== undefined && { noiseOffset }),
  };
}

export function jobsOf(request: GenerateRequest, { run }: Source, recipe: Recipe): Job[] {
  const out = resolve(request.out ?? run?.outputsFolder ?? 'outputs');
  return [...seedsOf(request)].flatMap(([prompt, first]) =>
    Array.from({ length: request.count }, (_, i) => {
      const seed = first + i;
      const folder = join(out, outputId(prompt, seed, { prompt, seed, ...recipe }));
      return {
        prompt,
        seed,
        folder,
        latents: join(folder, 'latents.safetensors'),
        video: join(folder, 'video.mp4'),
        sheet: join(folder, 'sheet.png'),
      };
    }),
  );
}

/** The first seed of each prompt; of a prompt given twice the first one's. */
function seedsOf({ prompts, seed, seeds }: GenerateRequest): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const [i, prompt] of prompts.entries()) {
    if (!found.has(prompt)) found.set(prompt, seeds?.[i] ?? seed);
  }
  return found;
}

/** Writes everything needed to make a video again beside it. */
export async function writeRecord(job: Job, recipe: Recipe, request: GenerateRequest): Promise<void> {
  const { prompt, seed, folder } = job;
  const record = { version: 1, prompt, seed, ...recipe, versions: packageVersions(), request };
  await writeFileAtomic(join(folder, 'request.json'), `${encodeJson(record, 'request')}\n`);
}

/** Does the work of one output while no other process can: two would take up each other's half-done files. */
export async function* alone<Event>(job: Job, work: AsyncGenerator<Event>): AsyncGenerator<Event> {
  const lock = await acquireLock(join(job.folder, 'output.lock'), `output ${job.folder}`);
  try {
    yield* work;
  } finally {
    await lock.release();
  }
}
