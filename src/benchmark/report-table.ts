import {
  describeEncoder,
  describeSettings,
  type Interval,
  METRIC_CARDS,
  type MetricName,
} from '../evaluation/index.ts';
import { type Html, type HtmlValue, html } from '../workflows/report/html.ts';
import { table as tableOf } from '../workflows/report/page.ts';
import type { BenchTable, ImprovementRow, TableRow } from './aggregate.ts';
import { PUBLISHED, PUBLISHED_IMPROVEMENTS, type Published } from './published.ts';

const NONE = '–';

/** "0.629", "−3.21", with the metric's digits. */
export function formatNumber(metric: MetricName, value: number): string {
  return minus(value.toFixed(METRIC_CARDS[metric].digits));
}

/** "+0.012", "−3.21". */
function formatDifference(metric: MetricName, value: number): string {
  const text = formatNumber(metric, value);
  return /[1-9]/.test(text) && value > 0 ? `+${text}` : text;
}

/** "+27.7 %"; a share of something that is not above 0 is none. */
export function formatPercent(share: number | undefined): string {
  if (share === undefined) return NONE;
  return `${share > 0 ? '+' : ''}${minus((100 * share).toFixed(1))} %`;
}

function minus(text: string): string {
  return Number(text) === 0 ? text.replace('-', '') : text.replace('-', '−');
}

function range(metric: MetricName, interval: Interval | undefined): string | undefined {
  return (
    interval && `${formatNumber(metric, interval.low)}\u2009…\u2009${formatNumber(metric, interval.high)}`
  );
}

const below = (text: string | undefined): Html =>
  text === undefined ? html`` : html`<br><span class="soft">${text}</span>`;

const numbersFrom1 = (columns: number) => Array.from({ length: columns }, (_, i) => i + 1);

const head = (metrics: readonly MetricName[]): string[] => [
  '',
  ...metrics.map((metric) => METRIC_CARDS[metric].title + ARROWS[METRIC_CARDS[metric].better]),
];

const ARROWS = { higher: ' ↑', 'nearer to 0': ' → 0', depends: '' } as const;

/** Without VBench's yes or no, which the paper does not have; it is in table.csv. */
function shownMetrics({ metrics }: BenchTable): MetricName[] {
  return metrics.filter((metric) => metric !== 'dynamic-degree-vbench');
}

/** Means with their intervals, what the paper prints below them, and what the reference clips are like. */
export function meansTable(table: BenchTable, published: Published | undefined): Html {
  const { rows, referenceDegree } = table;
  const metrics = shownMetrics(table);
  const ours = rows.map(({ title, cells, missing }): HtmlValue[] => [
    title,
    ...metrics.map((metric): HtmlValue => {
      const cell = cells[metric];
      if (!cell) return html`<span title="${missing[metric] ?? ''}">${NONE}</span>`;
      const text = formatNumber(metric, cell.summary.mean);
      const shown = cell.best ? html`<strong>${text}</strong>` : text;
      return [shown, below(range(metric, cell.summary.interval))];
    }),
  ]);
  const theirs = (published?.rows ?? []).map(({ title, values }): HtmlValue[] => [
    html`<span class="soft">${title}, as published</span>`,
    ...metrics.map((metric): HtmlValue => {
      const value = values[metric];
      return html`<span class="soft">${value === undefined ? NONE : formatNumber(metric, value)}</span>`;
    }),
  ]);
  const references = metrics.map(
    (metric): HtmlValue =>
      metric === 'dynamic-degree' && referenceDegree !== undefined
        ? formatNumber(metric, referenceDegree)
        : NONE,
  );
  const lines = [
    ...ours,
    ...(referenceDegree === undefined ? [] : [['reference clips', ...references]]),
    ...theirs,
  ];
  return dense(tableOf(head(metrics), lines, numbersFrom1(metrics.length)));
}

/** Ten metrics with their intervals, on one page. */
function dense(table: Html): Html {
  return html`<div class="dense">${table}</div>`;
}

/** Each row less the benchmark's own, video by video; undefined where there is no such row. */
export function differencesTable(table: BenchTable): Html | undefined {
  const { rows } = table;
  const metrics = shownMetrics(table);
  const compared = rows.filter(({ cells }) => metrics.some((metric) => cells[metric]?.difference));
  if (compared.length === 0) return undefined;
  const lines = compared.map(({ title, cells }: TableRow): HtmlValue[] => [
    title,
    ...metrics.map((metric): HtmlValue => {
      const difference = cells[metric]?.difference;
      if (!difference) return NONE;
      const { mean, interval } = difference;
      const clear = interval !== undefined && (interval.low > 0 || interval.high < 0);
      const text = formatDifference(metric, mean);
      return [clear ? html`<strong>${text}</strong>` : text, below(range(metric, interval))];
    }),
  ]);
  return dense(tableOf(head(metrics), lines, numbersFrom1(metrics.length)));
}

/** Both ways of taking the percentage, ours and the paper's. */
export function improvementsTable(rows: readonly ImprovementRow[]): Html {
  return tableOf(
    ['', 'DualReal', 'the others’ mean', 'share of DualReal', 'share of the others’ mean'],
    rows.flatMap(({ metric, own, baseline, ofOwn, ofBaseline, printed }) => [
      [
        METRIC_CARDS[metric].title,
        formatNumber(metric, own),
        formatNumber(metric, baseline),
        formatPercent(ofOwn),
        formatPercent(ofBaseline),
      ],
      [
        `${METRIC_CARDS[metric].title}, as published`,
        ...(publishedOwn(metric) ?? [NONE, NONE]),
        formatPercent(printed),
        formatPercent(printed / (1 - printed)),
      ],
    ]),
    numbersFrom1(4),
  );
}

/** DualReal's published value, and the mean of the others that follows from the printed percentage. */
function publishedOwn(metric: MetricName): string[] | undefined {
  const own = PUBLISHED.table1?.rows[0].values[metric];
  const printed = PUBLISHED_IMPROVEMENTS.find((each) => each.metric === metric)?.printed;
  if (own === undefined || printed === undefined) return undefined;
  return [formatNumber(metric, own), formatNumber(metric, own * (1 - printed))];
}

/** What each metric says and what looked at the videos for it. */
export function metricsTable(table: BenchTable): Html {
  const { rows } = table;
  return tableOf(
    ['metric', 'meaning', 'measured by'],
    shownMetrics(table).map((metric) => {
      const { title, meaning } = METRIC_CARDS[metric];
      const summaries = rows.flatMap(({ cells }) => (cells[metric] ? [cells[metric].summary] : []));
      const makers = new Set(
        summaries.map(({ encoder, settings }) =>
          [describeEncoder(encoder), describeSettings(settings)].filter((text) => text !== '').join('; '),
        ),
      );
      return [title, meaning, [...makers].join(' / ')];
    }),
  );
}
