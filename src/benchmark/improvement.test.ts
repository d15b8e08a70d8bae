import { expect, it } from 'vitest';
import { improvementOver } from './improvement.ts';
import { PUBLISHED, PUBLISHED_IMPROVEMENTS } from './published.ts';

it('takes the percentage of its own value and of the mean of the others', () => {
  const { baseline, ofOwn, ofBaseline } = improvementOver(0.6, [0.4, 0.5])!;
  expect(baseline).toBeCloseTo(0.45, 12);
  expect(ofOwn).toBeCloseTo(0.25, 12);
  expect(ofBaseline).toBeCloseTo(1 / 3, 12);
});

it('turns the printed percentages into those of the usual reading', () => {
  const shares = PUBLISHED_IMPROVEMENTS.map(({ metric, printed }) => {
    const own = PUBLISHED.table1!.rows[0].values[metric]!;
    return improvementOver(own, [own * (1 - printed)])!;
  });
  expect(shares.map(({ ofOwn }) => (100 * ofOwn!).toFixed(1))).toEqual(['21.7', '31.8']);
  expect(shares.map(({ ofBaseline }) => (100 * ofBaseline!).toFixed(1))).toEqual(['27.7', '46.6']);
});

it('has no share of what is not above 0, and nothing without others', () => {
  expect(improvementOver(-0.1, [-0.2])).toEqual({ own: -0.1, baseline: -0.2 });
  expect(improvementOver(0.2, [-0.2])).not.toHaveProperty('ofBaseline');
  expect(improvementOver(1, [])).toBeUndefined();
});
