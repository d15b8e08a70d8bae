import { join } from 'node:path';
import { z } from 'zod';
import type { DualRealOptions } from '../methods/dualreal/index.ts';
import { loraOf, loraOptionsSchema } from '../methods/lora/index.ts';
import { type AdapterRecipe, writeAdapterFile } from '../store/adapter-file.ts';
import { writeLoraFile } from '../store/lora-file.ts';
import { type MethodFileHeader, methodMetadata, writeMethodFile } from '../store/method-file.ts';
import type { JsonObject } from '../store/plain-json.ts';
import type { RunFolder } from '../store/run-folder.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import type { Base } from './base.ts';
import { packageVersions } from './package-versions.ts';
import type { StagePlan, TrainPlan } from './train-plan.ts';
import type { TrainRequest } from './train-request.ts';
import type { TrainingData } from './training-data.ts';

/** The LoRAs of a run, one of the subject and one of the motion. */
export function loraFiles(run: Pick<RunFolder, 'path'>): Readonly<Record<'identity' | 'motion', string>> {
  return {
    identity: join(run.path, 'lora-identity.safetensors'),
    motion: join(run.path, 'lora-motion.safetensors'),
  };
}

/** The files that a finished run of a method leaves. */
export function resultFiles(method: string, run: Pick<RunFolder, 'path' | 'adapterFile'>): readonly string[] {
  return method === 'lora' ? Object.values(loraFiles(run)) : [run.adapterFile];
}

/** Copy of what a stage trained, where a later stage trains the same tensors further. */
export function stageFile(run: Pick<RunFolder, 'path'>, { stage }: StagePlan): string {
  return join(run.path, `after-${stage.name}.safetensors`);
}

export interface TrainingResult {
  readonly request: TrainRequest;
  readonly plan: TrainPlan;
  readonly base: Base;
  readonly data: TrainingData;
  readonly trained: ReadonlyMap<string, HostTensor>;
}

/** Writes what a run trained, in its method's format; returns the files. */
export async function writeResult(run: RunFolder, result: TrainingResult): Promise<readonly string[]> {
  const { request, plan, base, data, trained } = result;
  const files = resultFiles(plan.method.name, run);
  if (plan.method.name === 'dualreal') {
    await writeAdapterFile(run.adapterFile, trained, await adapterRecipe(request, plan, base, data));
  } else if (plan.method.name === 'lora') {
    const options = loraOptionsSchema.parse(plan.method.options);
    const metadata = methodMetadata(plan.method, await baseOf(base), recordOf(result));
    for (const [name, path] of Object.entries(loraFiles(run))) {
      await writeLoraFile(path, loraOf(trained, name, base.transformer, options), 'f32', metadata);
    }
  } else {
    await writeCopy(run.adapterFile, result);
  }
  return files;
}

/** Writes all that a method has trained so far as one method file. */
export async function writeCopy(path: string, result: TrainingResult): Promise<void> {
  const { plan, base, trained } = result;
  const record = recordOf(result);
  const contents = { method: plan.method, config: base.transformer, tensors: trained, record };
  await writeMethodFile(path, { ...contents, base: await baseOf(base) });
}

const baseOf = async ({ name, transformerWeights }: Base) => ({
  name,
  hash: await transformerWeights.hash(),
});

const promptsOf = (items: readonly { readonly caption: string }[] = []): string[] => [
  ...new Set(items.map(({ caption }) => caption)),
];

function sizeOfSamples({ sample }: TrainingData, { nominal }: Base) {
  const { frames, size } = sample;
  return { frames, height: size.height, width: size.width, fps: nominal.fps };
}

/** What a method file tells about how it was made. */
function recordOf({ request, plan, base, data }: TrainingResult): JsonObject {
  const { seed, subjectWord, classWord } = request;
  const stages = plan.stages.map(({ stage, recipe, batch }) => ({ name: stage.name, ...recipe, batch }));
  const { identity, motion, generic } = data.items;
  return JSON.parse(
    JSON.stringify({
      stages,
      seed,
      subjectWord,
      classWord,
      subject: { prompts: promptsOf(identity), photos: identity?.length ?? 0 },
      motion: motion && { prompts: promptsOf(motion), clips: motion.length },
      generic: generic && { clips: generic.length },
      size: sizeOfSamples(data, base),
      createdWith: `dualreal ${packageVersions().dualreal}`,
    }),
  ) as JsonObject;
}

const readSchema = z.object({
  subjectWord: z.string().optional(),
  size: z.object({ width: z.number(), height: z.number(), frames: z.number() }).optional(),
});

/** What generating takes out of a file's record; the rest is for people. */
export function readRecord({ record }: MethodFileHeader): z.infer<typeof readSchema> {
  return readSchema.parse(record);
}

/** What an adapter file tells about how it was made. */
async function adapterRecipe(
  { seed, motionRatio, timestepBias, preset, ablation }: TrainRequest,
  { method, stages, steps }: TrainPlan,
  base: Base,
  data: TrainingData,
): Promise<AdapterRecipe> {
  const { options, training } = method.options as { options: DualRealOptions; training: string };
  const [{ recipe }] = stages;
  const batches = Object.assign({}, ...stages.map(({ batch }) => batch)) as Record<string, number>;
  const { identity = [], motion = [] } = data.items;
  const { blocks, width } = base.transformer;
  return {
    version: 1,
    options,
    preset,
    base: { ...(await baseOf(base)), blocks, width },
    training: {
      steps,
      seed,
      learningRate: recipe.learningRate,
      motionRatio,
      timestepBias,
      schedule: recipe.schedule,
      subjectBatch: batches.identity,
      motionBatch: batches.motion,
      ...(training !== 'masked' && { training }),
      ...(ablation !== undefined && { ablation }),
    },
    subject: { prompts: promptsOf(identity), counts: { photos: identity.length } },
    motion: { prompts: promptsOf(motion), counts: { clips: motion.length } },
    size: sizeOfSamples(data, base),
    createdWith: `dualreal ${packageVersions().dualreal}`,
  };
}

/** Whether a later stage trains on what this one trained, so that its own result would be gone. */
export function isOverwritten(plan: StagePlan, { stages }: TrainPlan): boolean {
  const later = stages.slice(plan.index + 1).flatMap(({ stage }) => stage.groups);
  return plan.stage.groups.some((group) => later.includes(group));
}
