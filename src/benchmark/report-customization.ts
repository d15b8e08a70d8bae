import type { Interval } from '../evaluation/index.ts';
import { renderCsv } from '../workflows/report/csv.ts';
import { type Html, type HtmlValue, html } from '../workflows/report/html.ts';
import { table as tableOf } from '../workflows/report/page.ts';
import {
  type Customization,
  type Findings,
  LEAST_PAIRS,
  LEAST_RECOGNISED,
  type LikenessGain,
  type PresetFindings,
  type Recognition,
} from './customization.ts';
import type { MotionRecord } from './motion-results.ts';

const NONE = '–';

const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;

const number = (value: number): string => value.toFixed(3).replace('-', '−');

const signed = (value: number): string => (value > 0 ? `+${number(value)}` : number(value));

const between = ({ low, high }: Interval, format: (value: number) => string): string =>
  `${format(low)}\u2009…\u2009${format(high)}`;

/** "0.612 → 0.751: +0.139 (+0.120 … +0.158)" */
function gainText(gain: LikenessGain | undefined): string {
  if (!gain) return 'not measured';
  const interval = gain.interval ? ` (${between(gain.interval, signed)})` : '';
  return `${number(gain.base)} → ${number(gain.own)}: ${signed(gain.difference)}${interval}`;
}

/** "70 % (50 % … 90 %), base 5 %" */
function recognitionText(motion: Recognition | undefined): string {
  if (!motion) return 'not judged';
  const interval = motion.interval ? ` (${between(motion.interval, percent)})` : '';
  return `${percent(motion.share)}${interval}, base ${percent(motion.baseShare)}`;
}

/** What rendered clips reach: the share recognised of all that it was examined on, or of one motion. */
export function ceiling(
  { exam }: Pick<MotionRecord, 'exam'>,
  motion?: string,
): { readonly share: number; readonly heldOutShare: number } | undefined {
  const rows = exam?.exam.filter((each) => motion === undefined || each.motion === motion) ?? [];
  if (rows.length === 0) return undefined;
  const sum = (of: (row: (typeof rows)[number]) => number) => rows.reduce((all, row) => all + of(row), 0);
  const clips = sum((row) => row.clips);
  return { share: sum((row) => row.right) / clips, heldOutShare: sum((row) => row.rightOfHeldOut) / clips };
}

const yesNo = (holds: boolean): string => (holds ? 'yes' : 'NO');

/** One line for each thing that was to hold, with what was found. */
export function verdictLines(found: Customization, motions: Pick<MotionRecord, 'exam'>): string[] {
  if (found.counted.length === 0) return ['No case is complete yet.'];
  const pairs = found.counted.length;
  const top = ceiling(motions);
  const lines = found.presets.flatMap(({ variant, overall, pairs: list, holding }) => {
    const on = (holds: (pair: Findings) => boolean | undefined) =>
      `on ${list.filter((pair) => holds(pair) === true).length} of ${pairs} pairs`;
    return [
      `${variant}: CLIP-I clearly above the base: ${yesNo(overall.clipI?.isAbove === true)}, ${gainText(overall.clipI)}; ${on(({ clipI }) => clipI?.isAbove)}`,
      `${variant}: DINO-I clearly above the base: ${yesNo(overall.dinoI?.isAbove === true)}, ${gainText(overall.dinoI)}; ${on(({ dinoI }) => dinoI?.isAbove)}`,
      `${variant}: motion recognised in at least ${percent(LEAST_RECOGNISED)}: ${yesNo(overall.motion?.isEnough === true)}, ${recognitionText(overall.motion)}${top ? `, rendered clips ${percent(top.share)}` : ''}; ${on(({ motion }) => motion?.isEnough)}`,
      `${variant}: all three on ${holding} of ${pairs} pairs`,
    ];
  });
  return [
    ...lines,
    `customization works on at least ${LEAST_PAIRS} pairs with every preset: ${yesNo(found.holds)}`,
  ];
}

/** The verdict and its numbers, pair by pair. */
export function customizationSection(
  found: Customization,
  motions: Pick<MotionRecord, 'exam'>,
  level: number,
): Html {
  const lines = verdictLines(found, motions);
  return html`<ul>${lines.map((line) => html`<li>${line}</li>`)}</ul>
<p class="soft">CLIP-I and DINO-I are compared clip by clip with the base as it is, on the same prompt and seed. Clearly
above: the ${percent(level)} bootstrap interval of the difference lies above 0. Over all pairs the clips of one pair are
drawn together.</p>
${found.presets.map((preset) => presetTable(preset, motions))}${motions.exam && examNotes(motions, motions.exam)}`;
}

function presetTable({ variant, pairs }: PresetFindings, motions: Pick<MotionRecord, 'exam'>): Html {
  if (pairs.length === 0) return html``;
  const mark = (holds: boolean | undefined, text: string): HtmlValue =>
    holds ? html`<strong>${text}</strong>` : text;
  const rows = pairs.map((pair): HtmlValue[] => {
    const top = ceiling(motions, pair.motionId);
    return [
      pair.case,
      mark(pair.clipI?.isAbove, gainText(pair.clipI)),
      mark(pair.dinoI?.isAbove, gainText(pair.dinoI)),
      mark(pair.motion?.isEnough, recognitionText(pair.motion)),
      pair.motion ? percent(pair.motion.heldOutShare) : NONE,
      top ? `${percent(top.share)} / ${percent(top.heldOutShare)}` : NONE,
      pair.answers.map(({ motion, clips }) => `${clips} ${motion}`).join(', '),
      yesNo(pair.holds),
    ];
  });
  const head = [
    ...['pair', 'CLIP-I', 'DINO-I', 'motion recognised', 'of held-out motions', 'rendered clips'],
    ...['taken for', 'all hold'],
  ];
  return html`<h3>${variant}</h3>
${tableOf(head, rows)}`;
}

function examNotes(
  motions: Pick<MotionRecord, 'exam'>,
  { classes, lessons, exam }: NonNullable<MotionRecord['exam']>,
): Html {
  const top = ceiling(motions)!;
  return html`<h3>The motion classifier</h3>
<p>A perceptron on what moves where and on what frames look like to CLIP, trained on ${lessons} rendered clips of each of
${classes.length} classes: ${exam.length} held-out motions, those of pretraining, and rest. The subjects of these cases
perform none of them. Of rendered clips performed by them (or, where only people can perform a motion, by people it has
not seen in it) it recognises ${percent(top.share)}; ${percent(top.heldOutShare)} where only the held-out motions can be
answered. That is as much as perfect videos would reach.</p>
${tableOf(
  ['motion', 'rendered clips', 'recognised', 'of held-out motions'],
  exam.map(({ motion, clips, right, rightOfHeldOut }) => [
    motion,
    String(clips),
    percent(right / clips),
    percent(rightOfHeldOut / clips),
  ]),
  [1, 2, 3],
)}`;
}

const COLUMNS = [
  ...['preset', 'case', 'motion', 'clips', 'measure', 'base', 'own', 'difference', 'low', 'high', 'holds'],
  'ceiling',
] as const;

/** One line for each number of each pair; `low` and `high` are of the difference, of a share of the share itself. */
export function renderCustomizationCsv(found: Customization, motions: Pick<MotionRecord, 'exam'>): string {
  const lines = found.presets.flatMap(({ variant, pairs, overall }) =>
    [...pairs, { case: 'all', motionId: undefined, ...overall }].flatMap((findings) => {
      const { case: id, motionId, motion } = findings;
      const place = { preset: variant, case: id, motion: motionId, clips: motion?.clips };
      const gains = (['clipI', 'dinoI'] as const).flatMap((name) => {
        const gain = findings[name];
        if (!gain) return [];
        const { base, own, difference, interval, isAbove } = gain;
        const measure = name === 'clipI' ? 'clip-i' : 'dino-i';
        return [{ ...place, measure, base, own, difference, ...interval, holds: isAbove ? 1 : 0 }];
      });
      if (!motion) return gains;
      const top = ceiling(motions, motionId);
      const { share, interval, baseShare, isEnough, heldOutShare, baseHeldOutShare } = motion;
      return [
        ...gains,
        {
          ...{ ...place, measure: 'motion', base: baseShare, own: share, difference: share - baseShare },
          ...{ ...interval, holds: isEnough ? 1 : 0, ceiling: top?.share },
        },
        {
          ...{ ...place, measure: 'motion-of-held-out', base: baseHeldOutShare, own: heldOutShare },
          ...{ difference: heldOutShare - baseHeldOutShare, ceiling: top?.heldOutShare },
        },
      ];
    }),
  );
  return renderCsv(COLUMNS, lines);
}
