import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { parseTransformerConfig } from '../models/cogvideox/transformer/index.ts';
import { openWeights } from '../store/weights.ts';
import { asFloats, floats, type HostTensor } from '../tensor/host-tensor.ts';
import { sizeOf } from '../tensor/shape.ts';
import { readShipped } from '../toybox/pretrain/shipped.ts';
import { readBaseParts, transformerSchedule } from '../toybox/pretrain/transformer/base-parts.ts';
import {
  type Judgement,
  openTransformerJudge,
  type TransformerScore,
} from '../toybox/pretrain/transformer/judge.ts';
import { openLatentDecoder } from '../toybox/pretrain/transformer/latent-encoder.ts';
import { openTransformerSampler } from '../toybox/pretrain/transformer/sampler.ts';
import { SHIPPED_GUIDANCE } from '../toybox/pretrain/transformer/variants.ts';
import { pretrainRequestSchema } from './pretrain-request.ts';
import { universePreparation } from './preview-universe.ts';
import type { WorkflowContext, WorkflowEvent } from './workflow.ts';

/** What `dualreal pretrain score-transformer` is asked for. */
export const scoreTransformerRequestSchema = z.strictObject({
  ...pretrainRequestSchema.pick({
    weightsFolder: true,
    cacheFolder: true,
    artFolder: true,
    device: true,
    threads: true,
  }).shape,
  samples: z.int().positive().default(200),
  steps: z.int().positive().default(30),
  guidance: z.number().min(1).default(SHIPPED_GUIDANCE),
  stage: z.literal([1, 2]).default(1),
  trainingClips: z.int().positive().default(3000),
  realOnly: z.boolean().default(false),
});

export type ScoreTransformerRequest = z.output<typeof scoreTransformerRequestSchema>;

export interface TransformerScores {
  readonly real: Judgement;
  /** Absent where only real clips were asked for. */
  readonly generated?: Judgement;
}

/** Clips that are generated at a time. */
const BATCH = 10;
const FRAMES = 9;
const BARS: Readonly<TransformerScore> = { scene: 0.8, subject: 0.5, motion: 0.5 };

/** Scene, subject and motion recognised in generated clips of unseen combinations, beside real clips of the same. */
export async function* scoreTransformer(
  request: ScoreTransformerRequest,
  context: WorkflowContext,
): AsyncGenerator<WorkflowEvent, TransformerScores> {
  const { weightsFolder, device, threads, samples, steps, guidance, stage, trainingClips } = request;
  const { cacheFolder } = request;
  yield* universePreparation(request, context.signal);
  const runtime = context.openRuntime({ device, threads });
  try {
    yield { type: 'stage', stage: 'training the motion classifier', detail: `${trainingClips} clips` };
    const clipWeights = await readShipped(weightsFolder, 'image_encoder');
    const options = { cacheFolder, stage, frames: FRAMES, samples, trainingClips };
    const parts = await readBaseParts(weightsFolder);
    const judge = await openTransformerJudge(runtime, clipWeights, parts, options);
    const real = await judge.judge(judge.real());
    if (request.realOnly) return { real };

    const folder = join(weightsFolder, 'transformer');
    const config = parseTransformerConfig(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')));
    const files = await openWeights(folder);
    const parameters = new Map<string, HostTensor>();
    for (const name of files.entries.keys()) parameters.set(name, asFloats(await files.read(name)));
    const shape = { batch: BATCH, latentFrames: 1 + (FRAMES - 1) / config.temporalCompression };
    const schedule = transformerSchedule();
    const sampler = await openTransformerSampler(runtime, config, schedule, parts.textWeights, shape);
    const decoder = await openLatentDecoder(runtime, parts.vae, parts.vaeWeights, shape);
    const clips: Uint8Array[] = [];
    for (let from = 0; from < samples; from += BATCH) {
      const prompts = judge.wanted.slice(from, from + BATCH).map(({ caption }) => caption);
      const latents = await sampler.sample(parameters, prompts, { seed: 100 + from, steps, guidance });
      const size = sizeOf(latents.shape);
      clips.push(...(await decoder.run(floats(latents.shape, latents.data.subarray(0, size)))));
      yield { type: 'progress', stage: 'generating', done: clips.length, total: samples };
    }
    return { real, generated: await judge.judge(clips) };
  } finally {
    await runtime.close();
  }
}

/** The table that `dualreal pretrain score-transformer` prints: the bars, then motion by motion. */
export function formatTransformerScores({ real, generated }: TransformerScores): string {
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const rows = (['scene', 'subject', 'motion'] as const).map((measure) => {
    const cells = [`real ${percent(real[measure])}`];
    if (generated) {
      const verdict = generated[measure] >= BARS[measure] ? 'holds' : 'below';
      cells.unshift(`generated ${percent(generated[measure])} (bar ${percent(BARS[measure])}: ${verdict})`);
    }
    return `transformer  ${measure.padEnd(8)} ${cells.join(', ')}`;
  });
  const stills = [
    ...(generated ? [`generated ${percent(generated.still)}`] : []),
    `real ${percent(real.still)}`,
  ];
  rows.push(`transformer  motion, of first frames held still: ${stills.join(', ')}`);
  const motions = (generated ?? real).motions.map(({ motion, clips, right, takenFor }) => {
    const others = takenFor.map((other) => `${other.motion} ${other.clips}`).join(', ');
    return `  ${motion.padEnd(12)} ${`${right}/${clips}`.padStart(5)}${others && `   taken for ${others}`}`;
  });
  return [...rows, `${generated ? 'generated' : 'real'} clips, recognised of each motion:`, ...motions].join(
    '\n',
  );
}
