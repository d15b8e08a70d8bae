import { METRIC_CARDS } from '../evaluation/index.ts';
import type { BenchTable } from './aggregate.ts';
import type { Published } from './published.ts';
import { formatNumber, formatPercent } from './report-table.ts';

/** The table for a terminal. */
export function renderTableText(table: BenchTable, published: Published | undefined): string {
  const { metrics, rows, empty, improvements, counted, uncounted, videos } = table;
  if (rows.length === 0) return 'No case is complete yet.\n';
  const lines = [
    ['', ...metrics.map((metric) => METRIC_CARDS[metric].title)],
    ...rows.map(({ title, cells }) => [
      title,
      ...metrics.map((metric) => {
        const cell = cells[metric];
        return cell ? `${formatNumber(metric, cell.summary.mean)}${cell.best ? '*' : ' '}` : '– ';
      }),
    ]),
    ...(published?.rows ?? []).map(({ title, values }) => [
      `${title} (paper)`,
      ...metrics.map((metric) => {
        const value = values[metric];
        return value === undefined ? '– ' : `${formatNumber(metric, value)} `;
      }),
    ]),
  ];
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  const text = lines.map((line) =>
    line
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])))
      .join('  ')
      .trimEnd(),
  );
  const notes = [
    `${counted.length} of ${counted.length + uncounted.length} cases, ${videos} videos a row; * best of the column`,
    ...(empty.length > 0 ? [`no case is complete for ${empty.join(', ')}`] : []),
    ...improvements.map(
      ({ metric, ofOwn, ofBaseline, printed }) =>
        `${METRIC_CARDS[metric].title}: ${formatPercent(ofOwn)} of its own value, ${formatPercent(ofBaseline)} against the others (paper: ${formatPercent(printed)}, ${formatPercent(printed / (1 - printed))})`,
    ),
  ];
  return `${[...text, '', ...notes].join('\n')}\n`;
}
