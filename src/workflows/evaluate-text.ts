import { basename, dirname } from 'node:path';
import {
  describeEncoder,
  describeSettings,
  type EncoderIdentity,
  METRIC_CARDS,
  METRIC_NAMES,
  type MetricName,
  type MetricSummary,
} from '../evaluation/index.ts';
import type { EvaluationReport, ReferenceMotionReport, VideoReport } from './evaluate-report.ts';

/** The report for people: means with intervals, each video, and a legend of what made which number. */
export function renderEvaluation(report: EvaluationReport): string {
  const legend = new Legend();
  const level = Math.round(report.request.level * 100);
  const parts = [
    ['Means', table(meanRows(report.summaries, level, legend))],
    ['Videos', table(videoRows(report.videos, legend))],
    ['Reference clips, measured as the videos are', table(referenceRows(report.references.motion, legend))],
    [
      'Not measured',
      table(report.missing.map(({ metric, reason }) => [METRIC_CARDS[metric].title, oneLine(reason)])),
    ],
    ['Could not be read', report.failed.map(({ message }) => `  ${oneLine(message)}`)],
    ['Measured by', legend.lines()],
  ] as const;
  const shown = parts.filter(([, lines]) => lines.length > 0);
  return `${shown.map(([title, lines]) => [title, ...lines].join('\n')).join('\n\n')}\n`;
}

/** Letters that stand for encoders beside every number. */
class Legend {
  readonly #lines: string[] = [];

  markOf(encoder: EncoderIdentity): string {
    const line = describeEncoder(encoder);
    if (!this.#lines.includes(line)) this.#lines.push(line);
    return `[${letterOf(this.#lines.indexOf(line))}]`;
  }

  lines(): string[] {
    return this.#lines.map((line, i) => `  [${letterOf(i)}] ${oneLine(line)}`);
  }
}

function letterOf(index: number): string {
  return String.fromCharCode(97 + (index % 26)).repeat(1 + Math.floor(index / 26));
}

function meanRows(summaries: readonly MetricSummary[], level: number, legend: Legend): string[][] {
  if (summaries.length === 0) return [];
  const header = ['metric', 'mean', `${level} % interval`, 'videos', 'by', 'better', 'settings'];
  return [
    header,
    ...summaries.map((summary) => {
      const { metric, mean, interval, count, units, encoder, settings } = summary;
      const { title, better } = METRIC_CARDS[metric];
      const range = interval ? `${shown(metric, interval.low)} … ${shown(metric, interval.high)}` : '–';
      const videos = units === count ? String(count) : `${count} of ${units} prompts`;
      return [
        title,
        shown(metric, mean),
        range,
        videos,
        legend.markOf(encoder),
        better,
        describeSettings(settings),
      ];
    }),
  ];
}

function videoRows(videos: readonly VideoReport[], legend: Legend): string[][] {
  const metrics = METRIC_NAMES.filter((name) =>
    videos.some(({ values }) => values.some(({ metric }) => metric === name)),
  );
  if (metrics.length === 0) return [];
  const marks = (name: MetricName) =>
    new Set(
      videos
        .flatMap(({ values }) => values.filter(({ metric }) => metric === name))
        .map(({ encoder }) => legend.markOf(encoder)),
    );
  const header = [
    'video',
    'size',
    ...metrics.map((name) => `${METRIC_CARDS[name].title} ${[...marks(name)].join('')}`),
  ];
  return [
    header,
    ...videos.map(({ path, frames, width, height, fps, values }) => [
      oneLine(nameOf(path)),
      `${width}×${height}, ${frames} at ${fps} fps`,
      ...metrics.map((name) => {
        const found = values.find(({ metric }) => metric === name);
        return found ? shown(name, found.value) : '–';
      }),
    ]),
  ];
}

function referenceRows(motion: readonly ReferenceMotionReport[], legend: Legend): string[][] {
  if (motion.length === 0) return [];
  const cell = (summary: MetricSummary | undefined) =>
    summary ? `${shown(summary.metric, summary.mean)} ${legend.markOf(summary.encoder)}` : '–';
  return [
    ['size', 'clips', 'DD', 'M-Fid with one another'],
    ...motion.map(({ frames, width, height, fps, dynamicDegree, motionFidelity }) => [
      `${width}×${height}, ${frames} at ${fps} fps`,
      String(dynamicDegree.count),
      cell(dynamicDegree),
      cell(motionFidelity),
    ]),
  ];
}

/** Outputs of `generate` are all called video.mp4: their folder names them. */
function nameOf(path: string): string {
  return basename(path) === 'video.mp4' ? basename(dirname(path)) : basename(path);
}

function shown(metric: MetricName, value: number): string {
  const text = value.toFixed(METRIC_CARDS[metric].digits);
  return metric === 'dynamic-degree-deviation' && value > 0 ? `+${text}` : text;
}

/** Rows with columns aligned, two spaces apart. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, [...cell].length);
  }
  return rows.map((row) =>
    `  ${row.map((cell, i) => cell + ' '.repeat(widths[i] - [...cell].length)).join('  ')}`.trimEnd(),
  );
}

/** Names come from outside: no line breaks and no control codes reach the terminal. */
function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ');
}
