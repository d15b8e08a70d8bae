import { join } from 'node:path';
import {
  cellsOfVideo,
  encodeVideo,
  fromModelRange,
  type SheetRow,
  writeContactSheet,
} from '../media/index.ts';
import type { DualRealOptions } from '../methods/dualreal/index.ts';
import type { Runtime, Trainer } from '../runtime/index.ts';
import { FeatureCache } from '../store/feature-cache.ts';
import type { RunFolder } from '../store/run-folder.ts';
import { type FloatTensor, floats, reshaped } from '../tensor/host-tensor.ts';
import type { Base } from './base.ts';
import type { Conditioning } from './denoise.ts';
import { encodeReferenceFile, encodeText, REFERENCE_FILE } from './prepare.ts';
import { SamplingSession } from './sampling-session.ts';
import type { TrainRequest } from './train-request.ts';
import type { TrainingData } from './training-data.ts';
import type { WorkflowContext, WorkflowEvent } from './workflow.ts';

export interface TrainingSampleContext {
  readonly request: TrainRequest;
  readonly base: Base;
  readonly options: DualRealOptions;
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

/** Generates the sample prompts with the adapters as they are now: one video each and one sheet of all. */
export async function* trainingSamples(
  run: RunFolder,
  step: number,
  trainer: Trainer,
  { request, base, options, data, runtime, context }: TrainingSampleContext,
): AsyncGenerator<WorkflowEvent> {
  const prompts = request.samplePrompts.length ? request.samplePrompts : [defaultPrompt(data)];
  const encoders = await base.openEncoders(runtime);
  const conditionings: Conditioning[] = [];
  try {
    const cache = new FeatureCache(context.cacheFolder);
    const text = async (prompt: string): Promise<FloatTensor> => {
      const embedding = await encodeText(prompt, encoders, cache, () => {});
      return reshaped(embedding, [1, ...embedding.shape]);
    };
    const negative = await text('');
    const image = await encodeReferenceFile(join(run.path, REFERENCE_FILE), encoders, cache, () => {});
    for (const prompt of prompts) {
      conditionings.push({ positive: await text(prompt), negative, image });
    }
  } finally {
    await encoders.release();
  }
  const session = await SamplingSession.open(runtime, {
    config: base.transformer,
    schedule: base.schedule,
    weights: base.transformerWeights.entries,
    options,
    trainer,
    ...base.latentSize({ ...data.sample.size, frames: data.sample.frames }),
    guided: true,
    conditioned: true,
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
        guidance: GUIDANCE,
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
function defaultPrompt({ items }: TrainingData): string {
  const [subject] = items.identity;
  const [motion] = items.motion;
  return `${subject.caption}, ${motion.caption}`;
}
