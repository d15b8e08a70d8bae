import { type Html, type HtmlValue, html } from './html.ts';
import { linePlot } from './line-plot.ts';
import { figure, figures, type Medium, renderPage, section, table } from './page.ts';

/** A video of the run and what the base alone makes of the same words, seed and settings. */
export interface ReportedVideo {
  readonly prompt: string;
  readonly customized: Medium;
  readonly plain: Medium;
}

/** The controller's output at one denoising step, averaged over the videos. */
export interface ReportedWeights {
  readonly timestep: number;
  /** Identity weight of each group of blocks, shallowest first. */
  readonly identity: readonly number[];
}

export interface ReportedLoss {
  readonly step: number;
  readonly loss: number;
}

export interface ReportedTime {
  readonly stage: string;
  readonly seconds: number;
  /** E.g. "118 ms per step". */
  readonly each?: string;
}

/** Everything that the page of a run shows; plain data. */
export interface RunReport {
  readonly title: string;
  readonly lead: string;
  /** What the reader must know before judging what is shown. */
  readonly notice?: string;
  readonly photos: readonly Medium[];
  readonly clips: readonly Medium[];
  readonly videos: readonly ReportedVideo[];
  /** By phase, in the order of the steps. */
  readonly losses: Readonly<Record<string, readonly ReportedLoss[]>>;
  readonly controller: {
    readonly blocks: number;
    /** What identity and motion weight sum to. */
    readonly weightTotal: number;
    readonly steps: readonly ReportedWeights[];
  };
  readonly times: readonly ReportedTime[];
  readonly settings: readonly (readonly [name: string, value: string])[];
  /** The whole request of the training and of the videos, for those who want every number. */
  readonly requests: Readonly<Record<string, object>>;
  readonly commands: readonly (readonly [purpose: string, command: string])[];
  readonly madeBy: string;
}

/** The page of a run: what went in, what came out, how it learnt, what it cost, how to go on. */
export function renderRunReport(report: RunReport): string {
  const { title, lead, notice, madeBy } = report;
  return renderPage({
    title,
    lead,
    madeBy,
    body: [
      notice === undefined ? html`` : html`<p class="notice">${notice}</p>\n`,
      section('Videos', videos(report)),
      section('Training', training(report)),
      section('Identity against motion', controller(report)),
      section('Time', times(report.times)),
      section('Settings', settings(report)),
      section('Go on from here', commands(report)),
    ],
  });
}

function videos({ photos, clips, videos: made }: RunReport): Html {
  const card = ({ prompt, customized, plain }: ReportedVideo) => html`<article class="card">
<h3>“${prompt}”</h3>
<div class="pair">${figure(customized, html`<strong>customized</strong>`)}${figure(plain, 'the base alone')}</div>
</article>
`;
  return html`<p>Left of each pair: the base with the trained adapters. Right: the same words, seed and settings given to
the base without them.</p>
<div class="beside">
<div>
<h3>Learnt from ${counted(photos.length, 'photo')} of the subject</h3>
${figures(
  photos.map((photo) => figure(photo)),
  3.6,
)}<h3>… and ${counted(clips.length, 'clip')} of the motion</h3>
${figures(
  clips.map((clip) => figure(clip, clip.alt)),
  6,
)}</div>
<div class="cards">${made.map(card)}</div>
</div>
`;
}

function training({ losses }: RunReport): Html {
  const plots = Object.entries(losses).map(([phase, steps], i) =>
    linePlot({
      title: `Loss of the ${phase} steps (${steps.length})`,
      xLabel: 'step',
      yLabel: 'loss',
      yRange: [0, ceiling(Object.values(losses).flat())],
      tone: i,
      lines: [
        {
          name: phase,
          points: smoothed(steps),
          raw: steps.map(({ step, loss }) => [step, loss] as const),
        },
      ],
    }),
  );
  return html`<p>Each step draws a phase: photos teach the identity adapters, clips the motion adapters; the others stay as
they are, and take part. The pale line is each step’s own loss. It depends on how much noise the step drew, so only its
mean over many steps (the strong line) tells of progress.</p>
<div class="plots">${plots}</div>
`;
}

function controller({ controller: { blocks, weightTotal, steps } }: RunReport): Html {
  const groups = steps[0]?.identity.length ?? 0;
  if (groups === 0)
    return html`<p>This run has no controller: both adapters have the same weight everywhere.</p>`;
  const lines = Array.from({ length: groups }, (_, group) => ({
    name: groupName(group, groups, blocks),
    points: steps.map(({ timestep, identity }) => [timestep, identity[group]] as const),
  }));
  return html`<p>At every denoising step the controller decides, for each group of blocks, how much the identity adapters
weigh; the motion adapters get the rest of ${weightTotal}. Denoising runs from left (noise) to right (video). Mean over
the customized videos.</p>
<div class="plots">${linePlot({
    title: 'Identity weight per group of blocks',
    xLabel: 'timestep',
    yLabel: 'identity weight',
    yRange: weightRange(steps, weightTotal),
    lines,
    tones: 'ordered',
    reversed: true,
  })}${table(
    ['blocks', 'first step', 'last step', 'mean'],
    lines.map(({ name, points }) => [
      name,
      ...[points[0][1], points[points.length - 1][1], mean(points.map(([, weight]) => weight))].map(
        (weight) => weight.toFixed(4),
      ),
    ]),
    [1, 2, 3],
  )}</div>
`;
}

/** What the weights reach; at least a tenth of all they could, or noise would look like a decision. */
function weightRange(steps: readonly ReportedWeights[], weightTotal: number): [number, number] {
  const all = steps.flatMap(({ identity }) => identity);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const spare = Math.max(0, 0.1 * weightTotal - (high - low)) / 2;
  const from = Math.max(0, low - spare);
  return [from, Math.max(high + spare, from + 0.1 * weightTotal)];
}

function groupName(group: number, groups: number, blocks: number): string {
  const size = blocks / groups;
  const [first, last] = [group * size + 1, (group + 1) * size];
  return first === last ? `block ${first}` : `blocks ${first}–${last}`;
}

function times(list: readonly ReportedTime[]): Html {
  const total = list.reduce((sum, { seconds }) => sum + seconds, 0);
  const row = (stage: HtmlValue, seconds: number, each: string | undefined) => [
    stage,
    shownTime(seconds),
    each ?? '',
  ];
  return table(
    ['stage', 'time', ''],
    [
      ...list.map(({ stage, seconds, each }) => row(stage, seconds, each)),
      row(html`<strong>together</strong>`, total, undefined),
    ],
    [1],
  );
}

function settings({ settings: list, requests }: RunReport): Html {
  const all = Object.entries(requests).map(
    ([name, request]) => html`<h3>${name}</h3><pre>${JSON.stringify(request, null, 2)}</pre>`,
  );
  return html`${table([], list)}<details><summary>every setting, as it was used</summary>${all}</details>
`;
}

function commands({ commands: list }: RunReport): Html {
  return html`${list.map(([purpose, command]) => html`<h3>${purpose}</h3><pre>${command}</pre>\n`)}`;
}

/** "1 min 05 s", "12.3 s". */
export function shownTime(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Above all but the highest hundredth, so that one unlucky step does not flatten the rest. */
function ceiling(steps: readonly ReportedLoss[]): number {
  const sorted = steps.map(({ loss }) => loss).sort((a, b) => a - b);
  return sorted[Math.round((sorted.length - 1) * 0.99)] ?? 1;
}

/** Mean over the steps around each, a fortieth of them to either side, and no fewer than three. */
function smoothed(steps: readonly ReportedLoss[]): (readonly [number, number])[] {
  const reach = Math.max(3, Math.round(steps.length / 40));
  return steps.map(({ step }, i) => {
    const around = steps.slice(Math.max(0, i - reach), i + reach + 1);
    return [step, mean(around.map(({ loss }) => loss))] as const;
  });
}
