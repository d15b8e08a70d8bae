import { METRIC_CARDS, type MetricName } from '../evaluation/index.ts';
import { type Html, type HtmlValue, html } from '../workflows/report/html.ts';
import { linePlot } from '../workflows/report/line-plot.ts';
import { figure, renderPage, section, table as tableOf } from '../workflows/report/page.ts';
import type { BenchTable } from './aggregate.ts';
import type { ControllerMeans, MotionCurve } from './curves.ts';
import type { Customization } from './customization.ts';
import type { MotionRecord } from './motion-results.ts';
import { type BenchPlan, trainingFields } from './plan.ts';
import type { Published } from './published.ts';
import { customizationSection } from './report-customization.ts';
import { differencesTable, improvementsTable, meansTable, metricsTable } from './report-table.ts';
import type { RowTimes } from './times.ts';
import { BENCHMARK_CARDS } from './variants.ts';

export interface SheetPicture {
  readonly case: string;
  /** Relative to the page. */
  readonly src: string;
  readonly width: number;
  readonly height: number;
}

/** Everything that the page of a benchmark shows; plain data. */
export interface BenchPage {
  readonly plan: BenchPlan;
  readonly table: BenchTable;
  readonly published: Published | undefined;
  readonly controller: ControllerMeans | undefined;
  readonly motion: readonly MotionCurve[];
  /** Of `customization`. */
  readonly customization?: Customization | undefined;
  readonly motions?: Pick<MotionRecord, 'exam'> | undefined;
  readonly sheets: readonly SheetPicture[];
  readonly times: ReadonlyMap<string, RowTimes>;
  readonly madeBy: string;
}

export function renderBenchPage(page: BenchPage): string {
  const { plan, table, published, madeBy } = page;
  const { title, about } = BENCHMARK_CARDS[plan.request.benchmark];
  const isCurve = plan.request.benchmark === 'fig7';
  const curve = page.controller
    ? [section('Identity weight along denoising', controller(page.controller, plan))]
    : [];
  return renderPage({
    title,
    lead: about,
    madeBy,
    body: [
      basis(plan, table),
      ...(isCurve ? curve : []),
      ...verdict(page),
      ...(page.motion.length > 0 ? [section('What becomes of the subject', motionPlots(page.motion))] : []),
      ...(table.rows.length > 0 && !isCurve ? [section('Numbers', numbers(table, plan, published))] : []),
      ...(table.improvements.length > 0 ? [section('Two ways to a percentage', percentages(table))] : []),
      ...(page.sheets.length > 0 ? [section('Videos', sheets(page))] : []),
      ...(isCurve ? [] : curve),
      section('How this was measured', method(page)),
    ],
  });
}

function verdict({ customization, motions, plan }: BenchPage): Html[] {
  if (!customization || !motions) return [];
  return [section('Verdict', customizationSection(customization, motions, plan.request.level))];
}

/** What the numbers rest on, first of all. */
function basis(plan: BenchPlan, table: BenchTable): Html {
  const { source, cases, base, variants } = plan;
  const from =
    source.kind === 'universe'
      ? `${source.of} pairs of held-out subjects and motions (${source.split} split of the Toybox universe)`
      : `${source.of} of ${source.file}`;
  const notes: HtmlValue[] = [];
  if (table.uncounted.length > 0) {
    notes.push(
      html`<p class="notice">Not finished: ${counted(table.uncounted.length, 'case')} of ${cases.length} ${table.uncounted.length === 1 ? 'is' : 'are'} not complete in every row and ${table.uncounted.length === 1 ? 'does' : 'do'} not count. <code>--resume</code> goes on.</p>\n`,
    );
  }
  if (table.empty.length > 0) {
    notes.push(html`<p class="notice">Rows without a complete case: ${table.empty.join(', ')}.</p>\n`);
  }
  if (table.counted.length > 0 && table.counted.length < 5) {
    notes.push(
      html`<p class="notice">So few cases say little: read the intervals, which tell how much the cases drawn matter, not only the means.</p>\n`,
    );
  }
  return html`<p>${counted(table.counted.length, 'case')} ${plan.request.pairs ? 'chosen' : 'drawn'} from ${from}, ${counted(table.videos, 'video')} in each of
${counted(variants.length, 'row')}. Base model: ${base.name} (<code>${base.hash.slice(0, 12)}</code>, ${base.blocks} blocks). Seed ${plan.request.seed}.</p>
${notes}`;
}

function numbers(table: BenchTable, plan: BenchPlan, published: Published | undefined): Html {
  const differences = differencesTable(table);
  const level = Math.round(100 * plan.request.level);
  const own = table.rows.find(({ variant }) => variant === BENCHMARK_CARDS[plan.request.benchmark].own);
  return html`${meansTable(table, published)}
<p class="soft">Mean over videos; below it the ${level} % bootstrap interval. Bold: best of the column. Dynamic degree
counts by how near it is to that of the reference clips.</p>
${
  differences &&
  html`<h3>Less ${own?.title ?? ''}, video by video</h3>
${differences}<p class="soft">The same case, prompt and seed in both rows. Bold: the interval does not contain 0.</p>`
}
${published && remarks(published)}`;
}

function remarks({ source, remarks: list }: Published): Html {
  return html`<h3>The published numbers</h3>
<p class="soft">${source}.</p>
<ul class="soft">${list.map((remark) => html`<li>${remark}</li>`)}</ul>
`;
}

function percentages({ improvements }: BenchTable): Html {
  return html`<p>The paper’s abstract says that CLIP-I and DINO-I improve by 21.7 % and 31.8 % on average. Its numbers give
that as (own − mean of the others) / own. Against the mean of the others, as “improves by” is usually read, they are
27.7 % and 46.6 %. Both ways, for the rows above:</p>
${improvementsTable(improvements)}`;
}

const LEAST_WEIGHT_SPAN = 0.004;

function controller({ timesteps, identityWeights, overall, videos }: ControllerMeans, plan: BenchPlan): Html {
  const groups = identityWeights[0].length;
  const blocks = plan.base.blocks / groups;
  const lines = Array.from({ length: groups }, (_, group) => ({
    name: blocks === 1 ? `block ${group}` : `blocks ${group * blocks}–${(group + 1) * blocks - 1}`,
    points: timesteps.map((timestep, step) => [timestep, identityWeights[step][group]] as const),
  }));
  const mean = {
    name: 'mean',
    points: timesteps.map((timestep, step) => [timestep, overall[step]] as const),
  };
  const [first, last] = [overall[0], overall[overall.length - 1]].map((weight) => weight.toFixed(4));
  const all = identityWeights.flat();
  // A change of less than a twentieth looks as small as it is.
  const yRange = widened(all, Math.max(LEAST_WEIGHT_SPAN, 0.05 * Math.max(...all)));
  const axes = { xLabel: 'timestep', yLabel: 'identity weight', reversed: true, yRange };
  return html`<p>Mean over ${counted(videos, 'video')}. Denoising runs from left to right; what identity does not get, motion
gets. Over all groups identity goes from ${first} at the first step to ${last} at the last.</p>
<div class="plots">${linePlot({ title: 'Each group of blocks', lines, tones: 'ordered', ...axes })}${linePlot(
    {
      title: 'All groups together',
      lines: [mean],
      ...axes,
    },
  )}</div>
`;
}

const SHOWN_IN_FIG2: readonly MetricName[] = ['clip-i', 'dino-i', 'motion-fidelity'];

/** Of a metric's axis: differences below what means of so few videos tell look flat. */
const LEAST_SPAN = 0.02;

/** The range of values, at least so wide, around its middle. */
function widened(values: readonly number[], span: number): readonly [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const extra = Math.max(0, span - (high - low)) / 2;
  return [low - extra, high + extra];
}

function motionPlots(curves: readonly MotionCurve[]): Html {
  const plots = SHOWN_IN_FIG2.flatMap((metric) => {
    const lines = curves.filter((curve) => curve.metric === metric);
    if (lines.length === 0) return [];
    return linePlot({
      title: METRIC_CARDS[metric].title,
      xLabel: 'motion steps',
      yLabel: METRIC_CARDS[metric].title,
      yRange: widened(
        lines.flatMap(({ points }) => points.map(([, value]) => value)),
        LEAST_SPAN,
      ),
      lines: lines.map((curve) => ({ name: nameOf(curve), points: curve.points })),
    });
  });
  const best = curves.filter(({ metric }) => metric === 'dino-i');
  return html`<p>Means over the same cases and prompts; rows are named by their steps of
identity + motion.
${best.map((curve) => `DINO-I of ${nameOf(curve)} is highest at ${curve.best} motion steps. `)}</p>
<div class="plots">${plots}</div>
`;
}

function nameOf({ method: way, identitySteps }: MotionCurve): string {
  return `${way}, ${identitySteps} identity steps`;
}

function sheets({ sheets: list, plan }: BenchPage): Html {
  const rest = plan.cases.length - list.length;
  const isCustomization = plan.request.benchmark === 'customization';
  return html`<p>The first ${isCustomization ? 'prompts' : 'prompt'} of each case, nine frames of every row’s video, below photos and a clip that were learnt
from. Nothing was chosen: these are the first cases of the draw.${plan.request.benchmark === 'fig2' ? ' ★ is the row of highest DINO-I.' : ''}${isCustomization ? ' Beside each video: the motion it was taken for, ✓ where that is the case’s.' : ''}</p>
${list.map(
  ({ case: id, ...medium }) => html`<h3>${id}</h3>
${figure({ ...medium, alt: `Frames of every row’s video for ${id}` })}
`,
)}${rest > 0 ? html`<p class="soft">${counted(rest, 'more case')} without pictures here; their videos are in <code>videos/</code>.</p>` : undefined}`;
}

/** The guidance of videos where none was asked for. */
function openGuidance({ card }: BenchPage['plan']['base']): string {
  if (card === undefined) return 'guidance of the base’s card, else as each method publishes it';
  return card.guidance === null
    ? 'guidance as each method publishes it'
    : `guidance ${card.guidance}, the base’s own`;
}

function method({ plan, table, times }: BenchPage): Html {
  const { resamples, level, sampling, benchmark } = plan.request;
  const given = Object.entries(sampling).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name} ${value}`],
  );
  // As `generate` has it.
  const guidance = sampling.guidance === undefined ? [openGuidance(plan.base)] : [];
  const total = [...times.values()].reduce((sum, row) => sum + secondsOf(row), 0);
  const done = plan.variants.flatMap(({ id, title }) => {
    const row = times.get(id);
    return row ? [{ title, row }] : [];
  });
  const seeds =
    benchmark === 'customization'
      ? 'a seed of its own for each prompt, the same in all rows'
      : 'all rows with the same seed';
  return html`<p>A row is trained anew for every case, then makes one video for each prompt; ${seeds}.
Only cases that are complete in every row count. Intervals: percentile bootstrap, ${resamples} resamples,
${Math.round(100 * level)} %; the videos of one case are drawn together${table.counted.length === 1 ? ' (here, with one case, those of one prompt)' : ''}.
Videos of ${plan.frames} frames; sampling: ${[...given, ...guidance].join(', ')}.</p>
${table.metrics.length > 0 && benchmark !== 'fig7' ? metricsTable(table) : undefined}
<h3>Rows</h3>
${tableOf(
  ['row', 'training request'],
  plan.variants.map(({ id, title, untrained }) => [
    [title, ' ', html`<code>${id}</code>`],
    untrained ? 'not trained' : html`<code>${JSON.stringify(trainingFields(plan, id))}</code>`,
  ]),
)}
<h3>Time</h3>
${tableOf(
  ['row', 'training', 'generating', 'measuring', 'together'],
  done.map(({ title, row }) => [
    title,
    ...[row.training, row.generating, row.measuring, secondsOf(row)].map(duration),
  ]),
  [1, 2, 3, 4],
)}<p class="soft">${duration(total)} of computing in all sessions of ${BENCHMARK_CARDS[benchmark].title}.</p>
`;
}

function secondsOf({ training, generating, measuring }: RowTimes): number {
  return training + generating + measuring;
}

function duration(seconds: number): string {
  if (seconds < 100) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = seconds / 60;
  return minutes < 100 ? `${minutes.toFixed(1)} min` : `${(minutes / 60).toFixed(1)} h`;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
