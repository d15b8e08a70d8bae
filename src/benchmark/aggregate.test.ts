import { describe, expect, it } from 'vitest';
import { bootstrapInterval } from '../evaluation/index.ts';
import { aggregate } from './aggregate.ts';
import { measured, planOf, resultOf } from './plan.cases.ts';
import type { BenchResult } from './result.ts';

const plan = planOf({ benchmark: 'table1', methods: ['lora', 'full', 'dualreal'], seed: 7 }, ['a', 'b'], 2);

/** CLIP-I of [case a: two prompts, case b: two prompts] for each row. */
const CLIP_I: Readonly<Record<string, readonly number[]>> = {
  lora: [0.3, 0.4, 0.5, 0.6],
  full: [0.2, 0.2, 0.4, 0.4],
  dualreal: [0.6, 0.5, 0.7, 0.6],
};

function resultsOf(numbers: Readonly<Record<string, readonly number[]>>): BenchResult[] {
  return Object.entries(numbers).flatMap(([variant, values]) =>
    values.map((value, i) => {
      const inA = i < 2;
      return resultOf(inA ? 'a' : 'b', variant, i % 2, [
        // Cases have different numbers of photos: no reason not to take a mean.
        measured('clip-i', value, inA ? 3 : 5),
        measured('dynamic-degree', 10 + i),
        measured('dynamic-degree-deviation', i === 0 ? 2 : -1, inA ? 4 : 6),
      ]);
    }),
  );
}

describe('the table of a benchmark', () => {
  const table = aggregate(plan, resultsOf(CLIP_I));
  const cell = (variant: string, metric: 'clip-i' | 'dynamic-degree-deviation') =>
    table.rows.find((row) => row.variant === variant)!.cells[metric]!;

  it('has means over all videos, the best marked', () => {
    expect(table.rows.map(({ variant }) => variant)).toEqual(['lora', 'full', 'dualreal']);
    expect(table.metrics).toEqual(['clip-i', 'dynamic-degree', 'dynamic-degree-deviation']);
    expect(cell('lora', 'clip-i').summary).toMatchObject({ count: 4, units: 2 });
    expect(cell('lora', 'clip-i').summary.mean).toBeCloseTo(0.45, 12);
    expect(cell('full', 'clip-i').summary.mean).toBeCloseTo(0.3, 12);
    expect(cell('dualreal', 'clip-i').summary.mean).toBeCloseTo(0.6, 12);
    expect(table.rows.map(({ cells }) => cells['clip-i']!.best)).toEqual([false, false, true]);
    expect(table.rows.map(({ cells }) => cells['dynamic-degree']!.best)).toEqual([false, false, false]);
  });

  it('draws the videos of a case together', () => {
    const options = { seed: 7, resamples: 2000, level: 0.95 };
    expect(cell('lora', 'clip-i').summary.interval).toEqual(
      bootstrapInterval(CLIP_I.lora, ['a', 'a', 'b', 'b'], options),
    );
    // Two cases with means 0.35 and 0.55: the interval reaches from one to the other.
    expect(cell('lora', 'clip-i').summary.interval!.low).toBeCloseTo(0.35, 12);
    expect(cell('lora', 'clip-i').summary.interval!.high).toBeCloseTo(0.55, 12);
  });

  it('compares rows video by video', () => {
    expect(cell('dualreal', 'clip-i').difference).toBeUndefined();
    // −0.3, −0.1 in a; −0.2, 0 in b.
    expect(cell('lora', 'clip-i').difference!.mean).toBeCloseTo(-0.15, 12);
    expect(cell('lora', 'clip-i').difference!.interval!.low).toBeCloseTo(-0.2, 12);
    expect(cell('lora', 'clip-i').difference!.interval!.high).toBeCloseTo(-0.1, 12);
  });

  it('knows the reference clips by what they were compared with', () => {
    // Mean degree 11.5, mean deviation (2 − 1 − 1 − 1) / 4.
    expect(table.referenceDegree).toBeCloseTo(11.75, 12);
  });

  it('takes both percentages', () => {
    const [improvement] = table.improvements;
    expect(improvement.metric).toBe('clip-i');
    expect(improvement.baseline).toBeCloseTo(0.375, 12);
    expect(improvement.ofOwn).toBeCloseTo(0.375, 12);
    expect(improvement.ofBaseline).toBeCloseTo(0.6, 12);
  });

  it('does not depend on the order of the results', () => {
    expect(aggregate(plan, resultsOf(CLIP_I).reverse())).toEqual(table);
  });
});

it('counts only cases that are complete in every row', () => {
  const results = resultsOf(CLIP_I).filter(
    (result) => !(result.variant === 'full' && result.case === 'b' && result.prompt === 1),
  );
  const table = aggregate(plan, results);
  expect(table).toMatchObject({ counted: ['a'], uncounted: ['b'], empty: [], videos: 2 });
  expect(table.rows[0].cells['clip-i']!.summary.mean).toBeCloseTo(0.35, 12);
  // With one case its prompts are what varies.
  expect(table.rows[0].cells['clip-i']!.summary.units).toBe(2);
});

it('leaves out a row that never got a case done, and has no rows without results', () => {
  const { full: _, ...rest } = CLIP_I;
  expect(aggregate(plan, resultsOf(rest))).toMatchObject({ counted: ['a', 'b'], empty: ['full'] });
  expect(aggregate(plan, [])).toMatchObject({ rows: [], counted: [], uncounted: ['a', 'b'], videos: 0 });
});

it('has no mean of what was not measured, or not in one way', () => {
  const results = resultsOf(CLIP_I).map((result): BenchResult => {
    if (result.variant === 'lora' && result.case === 'a') {
      return { ...result, values: [], missing: [{ metric: 'clip-i', reason: 'no CLIP' }] };
    }
    if (result.variant !== 'full' || result.case !== 'b') return result;
    const [value] = result.values;
    return { ...result, values: [{ ...value, encoder: { ...value.encoder, hash: '2'.repeat(64) } }] };
  });
  const [lora, full, dualreal] = aggregate(plan, results).rows;
  expect(lora.missing['clip-i']).toBe('no CLIP');
  expect(full.missing['clip-i']).toBe('not measured in one way');
  expect(full.cells['dynamic-degree']).toBeUndefined();
  expect(dualreal.cells['clip-i']).toBeDefined();
});

it('gives no difference between numbers of different encoders', () => {
  const results = resultsOf(CLIP_I).map((result): BenchResult => {
    if (result.variant !== 'lora') return result;
    const other = ({ encoder, ...value }: BenchResult['values'][number]) => ({
      ...value,
      encoder: { ...encoder, hash: '3'.repeat(64) },
    });
    return { ...result, values: result.values.map(other) };
  });
  const [lora, full] = aggregate(plan, results).rows;
  expect(lora.cells['clip-i']!.difference).toBeUndefined();
  expect(full.cells['clip-i']!.difference).toBeDefined();
});
