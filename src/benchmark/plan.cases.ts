import type { MetricName, MetricValue } from '../evaluation/index.ts';
import type { BenchPlan } from './plan.ts';
import { type BenchRequestInput, benchRequestSchema } from './request.ts';
import type { BenchResult } from './result.ts';
import { variantsOf } from './variants.ts';

/** A plan of named cases with so many prompts each, on a base of 14 blocks that does not exist. */
export function planOf(
  asked: Partial<BenchRequestInput> & Pick<BenchRequestInput, 'benchmark'>,
  cases: readonly string[],
  prompts: number,
): BenchPlan {
  const request = benchRequestSchema.parse({ out: '/nowhere', ...asked });
  return {
    version: 1,
    versions: { dualreal: '0.0.0' },
    request,
    base: { location: '/base', name: 'base', hash: 'ab'.repeat(32), blocks: 14 },
    source: { kind: 'manifest', file: '/cases.json', of: cases.length },
    frames: 9,
    fps: 8,
    cases: cases.map((id) => ({
      id,
      subject: id,
      motion: id,
      photos: `/photos/${id}`,
      clips: `/clips/${id}`,
      prompts: Array.from({ length: prompts }, (_, i) => `${id} prompt ${i}`),
    })),
    variants: variantsOf(request, 14),
  };
}

const CLIP = { name: 'clip', source: 'here', hash: '1'.repeat(64), settings: {} };

export function measured(metric: MetricName, value: number, references?: number): MetricValue {
  return { metric, value, encoder: CLIP, settings: references === undefined ? {} : { references } };
}

/** A result with the values given. */
export function resultOf(
  caseId: string,
  variant: string,
  prompt: number,
  values: readonly MetricValue[],
  more: Partial<BenchResult> = {},
): BenchResult {
  return {
    version: 1,
    case: caseId,
    variant,
    prompt,
    text: `${caseId} prompt ${prompt}`,
    seed: 42,
    video: `videos/${caseId}/${variant}/${prompt}/video.mp4`,
    frames: 9,
    width: 32,
    height: 32,
    fps: 8,
    values,
    missing: [],
    ...more,
  };
}
