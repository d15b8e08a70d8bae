import type { Interval } from '../evaluation/index.ts';
import { SCRAMBLED_EVERY } from '../toybox/pretrain/transformer/scrambler.ts';
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
import type { Recognised } from './motion-judge.ts';
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

/** Shares of clips that are recognised: among all classes, among held-out motions. */
interface Shares {
  readonly share: number;
  readonly heldOutShare: number;
}

/**
 * What rendered clips reach, of some motions or of all that there was an exam on: as they are, and where it was tried
 * on each, through the base's codec.
 */
export function ceiling(
  { exam }: Pick<MotionRecord, 'exam'>,
  motions?: ReadonlySet<string>,
): (Shares & { readonly throughCodec?: Shares }) | undefined {
  const rows = exam?.exam.filter(({ motion }) => motions?.has(motion) ?? true) ?? [];
  if (rows.length === 0) return undefined;
  const coded = rows.flatMap(({ throughCodec }) => throughCodec ?? []);
  return { ...sharesOf(rows), ...(coded.length === rows.length && { throughCodec: sharesOf(coded) }) };
}

function sharesOf(rows: readonly Recognised[]): Shares {
  const sum = (of: (row: Recognised) => number) => rows.reduce((all, row) => all + of(row), 0);
  const clips = sum((row) => row.clips);
  return { share: sum((row) => row.right) / clips, heldOutShare: sum((row) => row.rightOfHeldOut) / clips };
}

/** "90 % / 95 %": among all classes, among held-out motions. */
const sharesText = (shares: Shares | undefined): string =>
  shares ? `${percent(shares.share)} / ${percent(shares.heldOutShare)}` : NONE;

const yesNo = (holds: boolean): string => (holds ? 'yes' : 'NO');

/** One line for each thing that was to hold, with what was found. */
export function verdictLines(found: Customization, motions: Pick<MotionRecord, 'exam'>): string[] {
  if (found.counted.length === 0) return ['No case is complete yet.'];
  const pairs = found.counted.length;
  const top = ceiling(motions, new Set(found.presets[0].pairs.map(({ motionId }) => motionId)));
  const lines = found.presets.flatMap(({ variant, overall, pairs: list, holding }) => {
    const on = (holds: (pair: Findings) => boolean | undefined) =>
      `on ${list.filter((pair) => holds(pair) === true).length} of ${pairs} pairs`;
    return [
      `${variant}: CLIP-I clearly above the base: ${yesNo(overall.clipI?.isAbove === true)}, ${gainText(overall.clipI)}; ${on(({ clipI }) => clipI?.isAbove)}`,
      `${variant}: DINO-I clearly above the base: ${yesNo(overall.dinoI?.isAbove === true)}, ${gainText(overall.dinoI)}; ${on(({ dinoI }) => dinoI?.isAbove)}`,
      `${variant}: motion recognised in at least ${percent(LEAST_RECOGNISED)}: ${yesNo(overall.motion?.isEnough === true)}, ${recognitionText(overall.motion)}${top ? `, rendered clips ${percent(top.share)}${top.throughCodec ? ` (through the codec ${percent(top.throughCodec.share)})` : ''}` : ''}; ${on(({ motion }) => motion?.isEnough)}`,
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
    const top = ceiling(motions, new Set([pair.motionId]));
    return [
      pair.case,
      mark(pair.clipI?.isAbove, gainText(pair.clipI)),
      mark(pair.dinoI?.isAbove, gainText(pair.dinoI)),
      mark(pair.motion?.isEnough, recognitionText(pair.motion)),
      pair.motion ? percent(pair.motion.heldOutShare) : NONE,
      sharesText(top),
      sharesText(top?.throughCodec),
      pair.answers.map(({ motion, clips }) => `${clips} ${motion}`).join(', '),
      yesNo(pair.holds),
    ];
  });
  const head = [
    ...['pair', 'CLIP-I', 'DINO-I', 'motion recognised', 'of held-out motions', 'rendered clips'],
    ...['through the codec', 'taken for', 'all hold'],
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
${classes.length} classes: ${exam.length} held-out motions, those of pretraining, and rest; one in ${SCRAMBLED_EVERY} also with
its subject’s texture broken, so that it looks at movement and not at how crisp a subject is. The subjects of these cases
perform none of them. Of rendered clips performed by them (or, where only people can perform a motion, by people it has
not seen in it) it recognises ${percent(top.share)}; ${percent(top.heldOutShare)} where only the held-out motions can be
answered. That is as much as perfect videos would reach. The first clips of each of the cases’
motions are also taken through the base’s own codec, from which everything comes that it generates.</p>
${tableOf(
  ['motion', 'rendered clips', 'recognised / of held-out motions', 'through the codec'],
  exam.map((each) => [
    each.motion,
    String(each.clips),
    sharesText(sharesOf([each])),
    sharesText(each.throughCodec && sharesOf([each.throughCodec])),
  ]),
  [1, 2, 3],
)}`;
}

const COLUMNS = [
  ...['preset', 'case', 'motion', 'clips', 'measure', 'base', 'own', 'difference', 'low', 'high', 'holds'],
  ...['ceiling', 'ceiling_through_codec'],
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
      const top = ceiling(motions, new Set(motionId ? [motionId] : pairs.map((pair) => pair.motionId)));
      const { share, interval, baseShare, isEnough, heldOutShare, baseHeldOutShare } = motion;
      return [
        ...gains,
        {
          ...{ ...place, measure: 'motion', base: baseShare, own: share, difference: share - baseShare },
          ...{ ...interval, holds: isEnough ? 1 : 0, ceiling: top?.share },
          ceiling_through_codec: top?.throughCodec?.share,
        },
        {
          ...{ ...place, measure: 'motion-of-held-out', base: baseHeldOutShare, own: heldOutShare },
          ...{ difference: heldOutShare - baseHeldOutShare, ceiling: top?.heldOutShare },
          ceiling_through_codec: top?.throughCodec?.heldOutShare,
        },
      ];
    }),
  );
  return renderCsv(COLUMNS, lines);
}
