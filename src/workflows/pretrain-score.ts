import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Runtime } from '../runtime/index.ts';
import { openClipJudge } from '../toybox/pretrain/clip-judge.ts';
import { openDinoJudge } from '../toybox/pretrain/dino-judge.ts';
import { readShipped, type ShippedComponent } from '../toybox/pretrain/shipped.ts';
import { judgeVae } from '../toybox/pretrain/vae-judge.ts';
import { pretrainRequestSchema } from './pretrain-request.ts';
import { universePreparation } from './preview-universe.ts';
import type { WorkflowContext, WorkflowEvent } from './workflow.ts';

/** What `dualreal pretrain score` is asked for. */
export const pretrainScoreRequestSchema = z.strictObject({
  ...pretrainRequestSchema.pick({
    weightsFolder: true,
    cacheFolder: true,
    artFolder: true,
    device: true,
    threads: true,
  }).shape,
});

export type PretrainScoreRequest = z.output<typeof pretrainScoreRequestSchema>;

/** One measured number of the base, with the bar it must reach where there is one. */
export interface PretrainScore {
  readonly model: string;
  readonly measure: string;
  readonly value: number;
  readonly unit: '%' | 'dB' | 'levels';
  readonly bar?: { readonly atLeast: number } | { readonly atMost: number };
}

const RETRIEVAL_SETS = 5;
const percent = (share: number) => 100 * share;

/**
 * Measures the shipped models on what never enters pretraining. Models that are not there yet are left out,
 * with a notice.
 */
export async function* scorePretrained(
  request: PretrainScoreRequest,
  context: WorkflowContext,
): AsyncGenerator<WorkflowEvent, readonly PretrainScore[]> {
  const { weightsFolder, device, threads } = request;
  yield* universePreparation(request, context.signal);
  const runtime = context.openRuntime({ device, threads });
  const scores: PretrainScore[] = [];
  try {
    for (const [component, measure] of Object.entries(MEASURES)) {
      if (!existsSync(join(weightsFolder, component))) {
        yield { type: 'notice', message: `${component}: not in ${weightsFolder}, not scored` };
        continue;
      }
      yield { type: 'stage', stage: 'scoring', detail: component };
      scores.push(...(await measure(runtime, request.cacheFolder, weightsFolder)));
    }
  } finally {
    await runtime.close();
  }
  return scores;
}

type Measure = (
  runtime: Runtime,
  cacheFolder: string,
  weightsFolder: string,
) => Promise<readonly PretrainScore[]>;

const MEASURES: Readonly<Partial<Record<ShippedComponent, Measure>>> = {
  vae: async (runtime, cacheFolder, weightsFolder) => {
    const { psnr, movingPsnr, changingPsnr, flicker } = await judgeVae(runtime, cacheFolder, weightsFolder);
    return [
      { model: 'vae', measure: 'PSNR', value: psnr, unit: 'dB', bar: { atLeast: 29 } },
      { model: 'vae', measure: 'PSNR, moving pixels', value: movingPsnr, unit: 'dB', bar: { atLeast: 25 } },
      { model: 'vae', measure: 'PSNR, moving and changing', value: changingPsnr, unit: 'dB' },
      { model: 'vae', measure: 'flicker of the background', value: flicker, unit: 'levels' },
    ];
  },
  image_encoder: async (runtime, cacheFolder, weightsFolder) => {
    const judge = await openClipJudge(runtime, cacheFolder, RETRIEVAL_SETS);
    const found = await judge(await readShipped(weightsFolder, 'image_encoder'));
    const bar = { atLeast: 70 };
    return [
      {
        model: 'clip',
        measure: 'caption of clip, of 100',
        value: percent(found.captionOfClip),
        unit: '%',
        bar,
      },
      {
        model: 'clip',
        measure: 'clip of caption, of 100',
        value: percent(found.clipOfCaption),
        unit: '%',
        bar,
      },
    ];
  },
  dino: async (runtime, cacheFolder, weightsFolder) => {
    const judge = await openDinoJudge(runtime, cacheFolder, 'evaluation');
    const { instanceOfPhoto } = await judge(await readShipped(weightsFolder, 'dino'));
    const value = percent(instanceOfPhoto);
    return [{ model: 'dino', measure: 'instance of photo, of 50', value, unit: '%', bar: { atLeast: 80 } }];
  },
};

/** Whether a score reaches its bar; undefined where there is none. */
export function reachesBar({ value, bar }: PretrainScore): boolean | undefined {
  if (!bar) return undefined;
  return 'atLeast' in bar ? value >= bar.atLeast : value <= bar.atMost;
}

/** The table that `dualreal pretrain score` prints. */
export function formatScores(scores: readonly PretrainScore[]): string {
  const cells = scores.map((score) => {
    const { model, measure, value, unit, bar } = score;
    const limit = bar ? ('atLeast' in bar ? `≥ ${bar.atLeast} ${unit}` : `≤ ${bar.atMost} ${unit}`) : '';
    const reached = reachesBar(score);
    const verdict = reached === undefined ? '' : reached ? 'holds' : 'below';
    return [model, measure, `${value.toFixed(2)} ${unit}`, limit, verdict];
  });
  const rows = [['model', 'measure', 'value', 'bar', ''], ...cells];
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => [...row[column]].length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** One object of numbers, for `--json`: `vae_psnr`, `clip_caption_of_clip_of_100`, … */
export function scoresJson(scores: readonly PretrainScore[]): Record<string, number> {
  const key = (text: string) => text.toLowerCase().replace(/[^a-z0-9]+/g, '_');
  return Object.fromEntries(scores.map(({ model, measure, value }) => [`${model}_${key(measure)}`, value]));
}
