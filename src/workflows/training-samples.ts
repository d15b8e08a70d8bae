import { join } from 'node:path';
import {
  cellsOfVideo,
  encodeVideo,
  fromModelRange,
  type SheetRow,
  writeContactSheet,
} from '../media/index.ts';
import type { Method } from '../methods/index.ts';
import type { FileRegion, Runtime, Trainer } from '../runtime/index.ts';
import { FeatureCache } from '../store/feature-cache.ts';
import type { RunFolder } from '../store/run-folder.ts';
import { type FloatTensor, floats, type HostTensor, reshaped } from '../tensor/host-tensor.ts';
import type { Base } from './base.ts';
import type { Conditioning } from './denoise.ts';
import { encodeText } from './encode-text.ts';
import { encodeReferenceFile, REFERENCE_FILE } from './prepare.ts';
import { SamplingSession } from './sampling-session.ts';
import { promptSubject } from './subject-word.ts';
import { phasesOf, type StagePlan } from './train-plan.ts';
import type { TrainRequest } from './train-request.ts';
import type { TrainingData } from './training-data.ts';
import type { WorkflowContext, WorkflowEvent } from './workflow.ts';

export interface TrainingSampleContext {
  readonly request: TrainRequest;
  readonly base: Base;
  readonly method: Method;
  /** The stage whose trainer is asked for samples. */
  readonly plan: StagePlan;
  /** Everything that the method has trained before this stage. */
  readonly trained: ReadonlyMap<string, HostTensor>;
  readonly data: TrainingData;
  readonly runtime: Runtime;
  readonly context: WorkflowContext;
}

const GUIDANCE = 6;

const nameOf = (step: number) => `step-${String(step).padStart(6, '0')}`;

/** The sheet of all samples of a step, written last. */
export function sampleSheetPath(run: RunFolder, step: number): string {
  return join(run.samplesFolder, `${nameOf(step)}.png`);
}

/** Generates the sample prompts with the model as it is now: one video each and one sheet of all. */
export async function* trainingSamples(
  run: RunFolder,
  step: number,
  trainer: Trainer,
  { request, base, method, plan, trained, data, runtime, context }: TrainingSampleContext,
): AsyncGenerator<WorkflowEvent> {
  const prompts = request.samplePrompts.length ? request.samplePrompts : [defaultPrompt(data)];
  const conditioned = phasesOf(method).some(({ condition }) => condition);
  const encoders = await base.openEncoders(runtime);
  const conditionings: Conditioning[] = [];
  const naming = { naming: method.subjectWord, subjectWord: request.subjectWord };
  try {
    const cache = new FeatureCache(context.cacheFolder);
    const text = async (prompt: string): Promise<FloatTensor> => {
      const embedding = await encodeText(prompt, encoders, cache, () => {});
      return reshaped(embedding, [1, ...embedding.shape]);
    };
    const negative = await text('');
    const image = conditioned
      ? await encodeReferenceFile(join(run.path, REFERENCE_FILE), encoders, cache, () => {})
      : undefined;
    for (const prompt of prompts) {
      const { subjectTokens, notice } = await promptSubject(prompt, naming, encoders);
      if (notice) yield { type: 'notice', message: notice };
      conditionings.push({ positive: await text(prompt), negative, image, subjectTokens });
    }
  } finally {
    await encoders.release();
  }
  const session = await SamplingSession.open(runtime, {
    config: base.transformer,
    schedule: base.schedule,
    weights: new Map<string, FileRegion | HostTensor>([...base.transformerWeights.entries, ...trained]),
    method,
    live: { trainer, groups: plan.stage.groups },
    ...base.latentSize({ ...data.sample.size, frames: data.sample.frames }),
    guided: true,
    conditioned,
    residence: base.residence,
  });
  const rows: SheetRow[] = [];
  const decoder = base.openDecoder(runtime);
  try {
    for (const [index, prompt] of prompts.entries()) {
      let latents: FloatTensor | undefined;
      const sampling = {
        seed: request.seed + index,
        steps: request.sampleSteps,
        sampler: base.sampler,
        guidance: base.guidance ?? method.inference.guidance ?? GUIDANCE,
        noiseOffset: method.inference.noiseOffset,
        guidanceKind: 'constant',
        conditioning: conditionings[index],
        signal: context.signal,
      } as const;
      for await (const { state } of session.sample(sampling)) latents = state.sample;
      const scaled = floats(
        latents!.shape,
        latents!.data.map((value) => value / base.scalingFactor),
      );
      const pixels = fromModelRange(yield* decoder.decode(scaled, undefined, context));
      const path = join(run.samplesFolder, `${nameOf(step)}-${index}.mp4`);
      await encodeVideo(path, pixels, { fps: base.nominal.fps });
      rows.push({ label: prompt, cells: cellsOfVideo(pixels, 9) });
      yield { type: 'artifact', kind: 'sample', path };
    }
  } finally {
    await session.close();
    await decoder.release();
  }
  const sheet = sampleSheetPath(run, step);
  await writeContactSheet(sheet, rows, { title: `step ${step}` });
  yield { type: 'artifact', kind: 'sample sheet', path: sheet };
}

/** The two captions joined: the subject's, then what the motion's says is being done. */
function defaultPrompt({ items: { identity, motion } }: TrainingData): string {
  const subject = identity![0].caption;
  return motion ? `${subject}, ${motion[0].caption}` : subject;
}
