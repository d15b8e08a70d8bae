import { describeSettings, type EncoderIdentity, type Settings } from '../evaluation/index.ts';
import type { EvaluationReport } from './evaluate-report.ts';
import { renderCsv } from './report/csv.ts';

const COLUMNS = [
  ...['scope', 'video', 'prompt', 'seed', 'metric', 'value', 'low', 'high', 'videos', 'units'],
  ...['encoder', 'encoder_source', 'encoder_hash', 'encoder_settings', 'settings'],
] as const;

type Row = Partial<Record<(typeof COLUMNS)[number], string | number | undefined>>;

/** One line for each number (RFC 4180): every video's first, then the means with their intervals. */
export function renderEvaluationCsv(report: EvaluationReport): string {
  const rows: Row[] = [
    ...report.videos.flatMap(({ path, prompt, seed, values }) =>
      values.map(({ metric, value, encoder, settings }) => ({
        ...{ scope: 'video', video: path, prompt, seed, metric, value },
        ...madeBy(encoder, settings),
      })),
    ),
    ...report.summaries.map(({ metric, mean, interval, count, units, encoder, settings }) => ({
      ...{
        scope: 'mean',
        metric,
        value: mean,
        low: interval?.low,
        high: interval?.high,
        videos: count,
        units,
      },
      ...madeBy(encoder, settings),
    })),
  ];
  return renderCsv(COLUMNS, rows);
}

function madeBy({ name, source, hash, settings: own }: EncoderIdentity, settings: Settings): Row {
  return {
    encoder: name,
    encoder_source: source,
    encoder_hash: hash,
    encoder_settings: describeSettings(own),
    settings: describeSettings(settings),
  };
}
