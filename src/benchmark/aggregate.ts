import {
  bootstrapInterval,
  type Interval,
  type IntervalOptions,
  isComparable,
  METRIC_CARDS,
  METRIC_NAMES,
  type MetricName,
  type MetricSummary,
  type MetricValue,
  summarize,
} from '../evaluation/index.ts';
import { type Improvement, improvementOver } from './improvement.ts';
import type { BenchPlan } from './plan.ts';
import { PUBLISHED_IMPROVEMENTS } from './published.ts';
import type { BenchResult } from './result.ts';
import { BENCHMARK_CARDS } from './variants.ts';

/** One number of a table. */
export interface Cell {
  readonly summary: MetricSummary;
  /** Row minus the benchmark's own row, video by video of the same case and prompt. */
  readonly difference?: { readonly mean: number; readonly interval?: Interval };
  /** The best of its column, as the metric counts better. */
  readonly best: boolean;
}

export interface TableRow {
  readonly variant: string;
  readonly title: string;
  readonly cells: Partial<Readonly<Record<MetricName, Cell>>>;
  /** Why a cell is empty. */
  readonly missing: Partial<Readonly<Record<MetricName, string>>>;
}

/** A metric's gain over the mean of the other rows, beside the paper's percentage. */
export interface ImprovementRow extends Improvement {
  readonly metric: MetricName;
  /** What the paper's abstract prints. */
  readonly printed: number;
}

export interface BenchTable {
  readonly metrics: readonly MetricName[];
  readonly rows: readonly TableRow[];
  /** Rows without a single complete case. */
  readonly empty: readonly string[];
  /** Cases that every row that is shown has all videos of; only they count. */
  readonly counted: readonly string[];
  readonly uncounted: readonly string[];
  /** Videos of a row. */
  readonly videos: number;
  /** Mean dynamic degree of the reference clips of the counted cases. */
  readonly referenceDegree?: number;
  readonly improvements: readonly ImprovementRow[];
}

/**
 * The table of a benchmark; a pure function of its results. Rows are compared on the same cases: those complete in
 * every row. Videos of one case are drawn together in the bootstrap; with one case, those of one prompt.
 */
export function aggregate(plan: BenchPlan, results: readonly BenchResult[]): BenchTable {
  const options = { seed: plan.request.seed, resamples: plan.request.resamples, level: plan.request.level };
  const table = new Map<string, Map<string, BenchResult[]>>();
  // Rows are compared place by place: the same prompt must stand at the same one.
  for (const result of [...results].sort((a, b) => a.prompt - b.prompt)) {
    const row = table.get(result.variant) ?? new Map<string, BenchResult[]>();
    row.set(result.case, [...(row.get(result.case) ?? []), result]);
    table.set(result.variant, row);
  }
  const complete = (variant: string, { id, prompts }: BenchPlan['cases'][number]) =>
    table.get(variant)?.get(id)?.length === prompts.length;
  const shown = plan.variants.filter(({ id }) => plan.cases.some((each) => complete(id, each)));
  const counted =
    shown.length === 0 ? [] : plan.cases.filter((each) => shown.every(({ id }) => complete(id, each)));
  const videosOf = (variant: string) => counted.flatMap(({ id }) => table.get(variant)!.get(id)!);
  const { own } = BENCHMARK_CARDS[plan.request.benchmark];
  const ownVideos = shown.some(({ id }) => id === own) ? videosOf(own) : undefined;

  const measured =
    counted.length === 0
      ? []
      : shown.map(({ id, title }) => measuredRow(id, title, videosOf(id), ownVideos, own, options));
  const rows = measured.map((row) => ({ ...row, cells: withBest(row, measured) }));
  const counts = new Set(counted.map(({ id }) => id));
  const degree = rows.length > 0 ? referenceDegree(videosOf(shown[0].id)) : undefined;
  return {
    metrics: METRIC_NAMES.filter((metric) => rows.some(({ cells }) => cells[metric])),
    rows,
    empty: plan.variants.filter((each) => !shown.includes(each)).map(({ id }) => id),
    counted: [...counts],
    uncounted: plan.cases.filter(({ id }) => !counts.has(id)).map(({ id }) => id),
    videos: counted.reduce((sum, { prompts }) => sum + prompts.length, 0),
    ...(degree !== undefined && { referenceDegree: degree }),
    improvements: plan.request.benchmark === 'table1' ? improvements(rows, own) : [],
  };
}

function measuredRow(
  variant: string,
  title: string,
  videos: readonly BenchResult[],
  ownVideos: readonly BenchResult[] | undefined,
  own: string,
  options: IntervalOptions,
): TableRow {
  const cells: Partial<Record<MetricName, Cell>> = {};
  const missing: Partial<Record<MetricName, string>> = {};
  const clusters = clustersOf(videos);
  for (const metric of METRIC_NAMES) {
    const values = valuesOf(videos, metric);
    if (typeof values === 'string') missing[metric] = values;
    else {
      const others = variant === own || !ownVideos ? undefined : valuesOf(ownVideos, metric);
      const difference =
        others && typeof others !== 'string' ? differenceOf(values, others, clusters, options) : undefined;
      const summary = summarize(values, clusters, options);
      cells[metric] = { summary, ...(difference && { difference }), best: false };
    }
  }
  return { variant, title, cells, missing };
}

/** What varies together: a case; where there is but one, a prompt. */
function clustersOf(videos: readonly BenchResult[]): string[] {
  const single = new Set(videos.map((video) => video.case)).size === 1;
  return videos.map((video) => (single ? video.text : video.case));
}

/** A metric of every video, measured in one way; else why it has no mean. */
function valuesOf(videos: readonly BenchResult[], metric: MetricName): MetricValue[] | string {
  const values: MetricValue[] = [];
  for (const video of videos) {
    const value = video.values.find((each) => each.metric === metric);
    if (!value) {
      return video.missing.find((each) => each.metric === metric)?.reason ?? 'not measured';
    }
    values.push(value);
  }
  const alike = values.every((value) => sameMeasure(value, values[0]));
  return alike
    ? values.map((value) => ({ ...value, settings: commonSettings(values) }))
    : 'not measured in one way';
}

/** How many references there were differs from case to case and is no difference in measuring. */
const OF_THE_CASE = 'references';

function sameMeasure(a: MetricValue, b: MetricValue): boolean {
  const bare = (value: MetricValue): MetricValue => ({
    ...value,
    settings: Object.fromEntries(Object.entries(value.settings).filter(([name]) => name !== OF_THE_CASE)),
  });
  return isComparable(bare(a), bare(b));
}

function commonSettings(values: readonly MetricValue[]): MetricValue['settings'] {
  const [{ settings }] = values;
  return Object.fromEntries(
    Object.entries(settings).filter(([name, value]) =>
      values.every((other) => other.settings[name] === value),
    ),
  );
}

/** Of values of the same videos in the same order; none where they were not measured alike. */
function differenceOf(
  values: readonly MetricValue[],
  others: readonly MetricValue[],
  clusters: readonly string[],
  options: IntervalOptions,
): Cell['difference'] {
  if (!values.every((value, i) => sameMeasure(value, others[i]))) return undefined;
  const differences = values.map(({ value }, i) => value - others[i].value);
  const interval = bootstrapInterval(differences, clusters, options);
  return { mean: mean(differences), ...(interval && { interval }) };
}

function withBest(row: TableRow, rows: readonly TableRow[]): TableRow['cells'] {
  const entries = Object.entries(row.cells) as [MetricName, Cell][];
  return Object.fromEntries(
    entries.map(([metric, cell]) => {
      const rank = RANK[METRIC_CARDS[metric].better];
      const ranks = rows.flatMap(({ cells }) => (cells[metric] ? [rank(cells[metric].summary.mean)] : []));
      const best = ranks.length > 1 && rank(cell.summary.mean) === Math.max(...ranks);
      return [metric, { ...cell, best: best && METRIC_CARDS[metric].better !== 'depends' }];
    }),
  );
}

const RANK = {
  higher: (value: number) => value,
  'nearer to 0': (value: number) => -Math.abs(value),
  depends: () => 0,
} as const;

/** What a video's dynamic degree is compared with: the degree less its deviation. */
function referenceDegree(videos: readonly BenchResult[]): number | undefined {
  const [degrees, deviations] = (['dynamic-degree', 'dynamic-degree-deviation'] as const).map((metric) =>
    videos.flatMap(({ values }) => values.filter((each) => each.metric === metric).map(({ value }) => value)),
  );
  if (degrees.length === 0 || degrees.length !== deviations.length) return undefined;
  return mean(degrees) - mean(deviations);
}

function improvements(rows: readonly TableRow[], own: string): ImprovementRow[] {
  return PUBLISHED_IMPROVEMENTS.flatMap(({ metric, printed }) => {
    const ownMean = rows.find(({ variant }) => variant === own)?.cells[metric]?.summary.mean;
    const others = rows.flatMap(({ variant, cells }) =>
      variant !== own && cells[metric] ? [cells[metric].summary.mean] : [],
    );
    const improvement = ownMean === undefined ? undefined : improvementOver(ownMean, others);
    return improvement ? [{ metric, printed, ...improvement }] : [];
  });
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
