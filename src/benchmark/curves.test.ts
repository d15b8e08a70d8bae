import { expect, it } from 'vitest';
import { aggregate } from './aggregate.ts';
import { controllerMeans, motionCurves } from './curves.ts';
import { measured, planOf, resultOf } from './plan.cases.ts';

const curve = (weights: readonly (readonly number[])[], timesteps = [999, 499]) => ({
  controller: { timesteps, identityWeights: weights },
});

it('means the controller over videos, and over groups', () => {
  const results = [
    resultOf(
      'a',
      'dualreal',
      0,
      [],
      curve([
        [0.1, 0.2],
        [0.3, 0.5],
      ]),
    ),
    resultOf(
      'a',
      'dualreal',
      1,
      [],
      curve([
        [0.3, 0.2],
        [0.1, 0.7],
      ]),
    ),
    resultOf('a', 'lora', 0, []),
  ];
  const means = controllerMeans(results, 'dualreal')!;
  const rounded = (list: readonly number[]) => list.map((value) => Number(value.toFixed(9)));
  expect(means.videos).toBe(2);
  expect(means.timesteps).toEqual([999, 499]);
  expect(means.identityWeights.map(rounded)).toEqual([
    [0.2, 0.2],
    [0.2, 0.6],
  ]);
  expect(rounded(means.overall)).toEqual([0.2, 0.4]);
});

it('has no mean of curves with other steps, or of none', () => {
  const results = [
    resultOf('a', 'dualreal', 0, [], curve([[0.1], [0.3]])),
    resultOf('a', 'dualreal', 1, [], curve([[0.1], [0.3]], [999, 0])),
  ];
  expect(controllerMeans(results, 'dualreal')).toBeUndefined();
  expect(controllerMeans(results, 'lora')).toBeUndefined();
});

it('sets a metric against the motion steps of each way of training', () => {
  const plan = planOf(
    { benchmark: 'fig2', methods: ['lora', 'isolated'], identitySteps: [30], motionSteps: [100, 0, 50] },
    ['a'],
    1,
  );
  expect(plan.variants.map(({ id }) => id)).toEqual([
    ...['isolated-30-0', 'isolated-30-50', 'isolated-30-100'],
    ...['lora-30-0', 'lora-30-50', 'lora-30-100'],
  ]);
  const values = [0.5, 0.8, 0.4, 0.6, 0.3, 0.2];
  const results = plan.variants.map(({ id }, i) => resultOf('a', id, 0, [measured('dino-i', values[i])]));
  const common = { identitySteps: 30, metric: 'dino-i' };
  expect(motionCurves(aggregate(plan, results))).toEqual([
    {
      ...{ ...common, method: 'isolated', best: 50 },
      points: [
        [0, 0.5],
        [50, 0.8],
        [100, 0.4],
      ],
    },
    {
      ...{ ...common, method: 'lora', best: 0 },
      points: [
        [0, 0.6],
        [50, 0.3],
        [100, 0.2],
      ],
    },
  ]);
});
