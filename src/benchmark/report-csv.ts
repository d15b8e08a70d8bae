import { describeEncoder, describeSettings, type MetricName } from '../evaluation/index.ts';
import { renderCsv } from '../workflows/report/csv.ts';
import type { BenchTable } from './aggregate.ts';
import type { Published } from './published.ts';
import type { BenchResult } from './result.ts';

const COLUMNS = [
  ...['source', 'row', 'metric', 'mean', 'low', 'high', 'best'],
  ...['difference', 'difference_low', 'difference_high', 'videos', 'units', 'encoder', 'settings', 'missing'],
] as const;

/** One line for each number of a table, ours first, then what the paper prints. */
export function renderTableCsv(table: BenchTable, published: Published | undefined): string {
  const ours = table.rows.flatMap(({ variant, cells, missing }) => [
    ...Object.entries(cells).map(([metric, { summary, difference, best }]) => ({
      source: 'ours',
      row: variant,
      metric,
      mean: summary.mean,
      low: summary.interval?.low,
      high: summary.interval?.high,
      best: best ? 1 : 0,
      difference: difference?.mean,
      difference_low: difference?.interval?.low,
      difference_high: difference?.interval?.high,
      videos: summary.count,
      units: summary.units,
      encoder: describeEncoder(summary.encoder),
      settings: describeSettings(summary.settings),
    })),
    ...Object.entries(missing).map(([metric, reason]) => ({
      source: 'ours',
      row: variant,
      metric,
      missing: reason,
    })),
  ]);
  const theirs = (published?.rows ?? []).flatMap(({ variant, values }) =>
    (Object.entries(values) as [MetricName, number][]).map(([metric, mean]) => ({
      source: published!.source,
      row: variant,
      metric,
      mean,
    })),
  );
  return renderCsv(COLUMNS, [...ours, ...theirs]);
}

const VIDEO_COLUMNS = [
  ...['case', 'row', 'prompt', 'text', 'seed', 'video', 'metric', 'value', 'encoder', 'settings'],
] as const;

/** One line for each number of each video, for statistics of one's own. */
export function renderVideosCsv(results: readonly BenchResult[]): string {
  return renderCsv(
    VIDEO_COLUMNS,
    results.flatMap(({ case: caseId, variant, prompt, text, seed, video, values }) =>
      values.map(({ metric, value, encoder, settings }) => ({
        ...{ case: caseId, row: variant, prompt, text, seed, video, metric, value },
        encoder: describeEncoder(encoder),
        settings: describeSettings(settings),
      })),
    ),
  );
}
