import {
  bootstrapInterval,
  type Interval,
  type IntervalOptions,
  isComparable,
  type MetricName,
} from '../evaluation/index.ts';
import type { MotionRecord } from './motion-results.ts';
import type { BenchPlan } from './plan.ts';
import type { BenchResult } from './result.ts';
import { UNCUSTOMIZED } from './variants.ts';

/** Pairs of subject and motion on which everything has to hold. */
export const LEAST_PAIRS = 6;
/** Share of a pair's clips that have to be recognised as its motion. */
export const LEAST_RECOGNISED = 0.5;

/** Likeness to the subject's photos, clip by clip of the same prompt and seed. */
export interface LikenessGain {
  readonly base: number;
  readonly own: number;
  readonly difference: number;
  readonly interval?: Interval;
  /** Clearly: the interval of the difference lies above 0. */
  readonly isAbove: boolean;
}

export interface Recognition {
  readonly clips: number;
  /** Taken for the case's motion, among all motions and rest. */
  readonly recognised: number;
  readonly share: number;
  readonly interval?: Interval;
  /** The share where only held-out motions can be answered. */
  readonly heldOutShare: number;
  /** Of the base without customization, on the same prompts and seeds. */
  readonly baseShare: number;
  readonly baseHeldOutShare: number;
  readonly isEnough: boolean;
}

/** Findings on clips of one pair, or of all. What has not been measured is absent. */
export interface Findings {
  readonly clipI?: LikenessGain;
  readonly dinoI?: LikenessGain;
  readonly motion?: Recognition;
  /** Whether all three are there and hold. */
  readonly holds: boolean;
}

export interface PairFindings extends Findings {
  readonly case: string;
  readonly motionId: string;
  /** What clips were taken for, the most frequent first. */
  readonly answers: readonly { readonly motion: string; readonly clips: number }[];
}

export interface PresetFindings {
  readonly variant: string;
  readonly pairs: readonly PairFindings[];
  /** Over all clips; those of one pair are drawn together. */
  readonly overall: Findings;
  /** Pairs on which all three hold, of those that are complete. */
  readonly holding: number;
}

/** Whether customization works, by the project's own bar. */
export interface Customization {
  readonly presets: readonly PresetFindings[];
  /** Cases that the base and every preset have all clips of, judged; only they count. */
  readonly counted: readonly string[];
  /** On at least {@link LEAST_PAIRS} pairs, with every preset. */
  readonly holds: boolean;
}

interface ClipPair {
  readonly case: string;
  readonly motionId: string;
  readonly base: BenchResult;
  readonly own: BenchResult;
  readonly answer: Answer;
  readonly baseAnswer: Answer;
}

interface Answer {
  readonly motion: string;
  readonly heldOut: string;
}

/** The findings of a benchmark; a pure function of its results and of what its clips were taken for. */
export function customizationOf(
  plan: BenchPlan,
  results: readonly BenchResult[],
  motions: Pick<MotionRecord, 'cases'>,
): Customization {
  const { seed, resamples, level } = plan.request;
  const presets = plan.variants.filter(({ id }) => id !== UNCUSTOMIZED).map(({ id }) => id);
  const pairsOf = (preset: string, { id, motion, prompts }: BenchPlan['cases'][number]): ClipPair[] =>
    [...prompts.keys()].flatMap((prompt) => {
      const find = (variant: string) => ({
        result: results.find(
          (each) => each.case === id && each.variant === variant && each.prompt === prompt,
        ),
        answer: motions.cases
          .find((each) => each.case === id)
          ?.clips.find((each) => each.variant === variant && each.prompt === prompt),
      });
      const [base, own] = [find(UNCUSTOMIZED), find(preset)];
      if (!base.result || !own.result || !base.answer || !own.answer) return [];
      return {
        ...{ case: id, motionId: motion, base: base.result, own: own.result },
        ...{ answer: own.answer, baseAnswer: base.answer },
      };
    });
  const clips = new Map(
    presets.map((preset) => [preset, new Map(plan.cases.map((each) => [each.id, pairsOf(preset, each)]))]),
  );
  const counted = plan.cases.filter(({ id, prompts }) =>
    presets.every((preset) => clips.get(preset)!.get(id)!.length === prompts.length),
  );
  const options = { seed, resamples, level };
  const found = presets.map((preset): PresetFindings => {
    const ofCases = counted.map(({ id }) => clips.get(preset)!.get(id)!);
    const pairs = ofCases.map((own): PairFindings => {
      const [{ case: id, motionId }] = own;
      return { case: id, motionId, answers: answersOf(own), ...findingsOf(own, options) };
    });
    return {
      variant: preset,
      pairs,
      overall: findingsOf(ofCases.flat(), options),
      holding: pairs.filter(({ holds }) => holds).length,
    };
  });
  const onAll = counted.filter((_, i) => found.every(({ pairs }) => pairs[i].holds)).length;
  return {
    presets: found,
    counted: counted.map(({ id }) => id),
    holds: presets.length > 0 && onAll >= LEAST_PAIRS,
  };
}

function findingsOf(clips: readonly ClipPair[], options: IntervalOptions): Findings {
  const clipI = gainOf('clip-i', clips, options);
  const dinoI = gainOf('dino-i', clips, options);
  const motion = clips.length > 0 ? recognitionOf(clips, options) : undefined;
  return {
    ...(clipI && { clipI }),
    ...(dinoI && { dinoI }),
    ...(motion && { motion }),
    holds: clipI?.isAbove === true && dinoI?.isAbove === true && motion?.isEnough === true,
  };
}

/** undefined where a clip has not been measured, or base and preset not in one way. */
function gainOf(
  metric: MetricName,
  clips: readonly ClipPair[],
  options: IntervalOptions,
): LikenessGain | undefined {
  if (clips.length === 0) return undefined;
  const bases: number[] = [];
  const owns: number[] = [];
  for (const { base, own } of clips) {
    const [b, o] = [base, own].map(({ values }) => values.find((value) => value.metric === metric));
    if (!b || !o || !isComparable(b, o)) return undefined;
    bases.push(b.value);
    owns.push(o.value);
  }
  const differences = owns.map((own, i) => own - bases[i]);
  const interval = bootstrapInterval(differences, clustersOf(clips), options);
  return {
    base: mean(bases),
    own: mean(owns),
    difference: mean(differences),
    ...(interval && { interval }),
    isAbove: interval !== undefined && interval.low > 0,
  };
}

function recognitionOf(clips: readonly ClipPair[], options: IntervalOptions): Recognition {
  const hits = clips.map(({ answer, motionId }) => Number(answer.motion === motionId));
  const interval = bootstrapInterval(hits, clustersOf(clips), options);
  const share = mean(hits);
  return {
    clips: clips.length,
    recognised: hits.reduce((sum, hit) => sum + hit, 0),
    share,
    ...(interval && { interval }),
    heldOutShare: mean(clips.map(({ answer, motionId }) => Number(answer.heldOut === motionId))),
    baseShare: mean(clips.map(({ baseAnswer, motionId }) => Number(baseAnswer.motion === motionId))),
    baseHeldOutShare: mean(clips.map(({ baseAnswer, motionId }) => Number(baseAnswer.heldOut === motionId))),
    isEnough: share >= LEAST_RECOGNISED,
  };
}

/** Clips of one case share a training; within one case each clip is its own unit. */
function clustersOf(clips: readonly ClipPair[]): string[] {
  return clips.map((clip) => clip.case);
}

function answersOf(clips: readonly ClipPair[]): PairFindings['answers'] {
  const counts = new Map<string, number>();
  for (const { answer } of clips) counts.set(answer.motion, (counts.get(answer.motion) ?? 0) + 1);
  return [...counts]
    .map(([motion, count]) => ({ motion, clips: count }))
    .sort((a, b) => b.clips - a.clips || (a.motion < b.motion ? -1 : 1));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
