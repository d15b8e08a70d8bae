import { describe, expect, it } from 'vitest';
import { trainRequestSchema } from '../workflows/train-request.ts';
import { planOf } from './plan.cases.ts';
import { trainingFields } from './plan.ts';
import { BENCHMARK_NAMES } from './request.ts';
import { BENCHMARK_CARDS } from './variants.ts';

const idsOf = (...asked: Parameters<typeof planOf>) => planOf(...asked).variants.map(({ id }) => id);

describe('rows', () => {
  it('are those of the paper, its own method last', () => {
    expect(idsOf({ benchmark: 'table1' }, ['a'], 1)).toEqual([
      'dreamvideo',
      'motionbooth',
      'lora',
      'full',
      'dualreal',
    ]);
    expect(idsOf({ benchmark: 'table2' }, ['a'], 1)).toEqual([
      'without-adaptation',
      'without-controller',
      'without-groups',
      'without-mask',
      'full',
    ]);
    expect(idsOf({ benchmark: 'table3' }, ['a'], 1)).toEqual([
      'groups-1',
      'groups-2',
      'groups-7',
      'groups-14',
    ]);
    expect(idsOf({ benchmark: 'fig7' }, ['a'], 1)).toEqual(['dualreal']);
    const presets = idsOf({ benchmark: 'presets' }, ['a'], 1);
    expect(presets.slice(0, 3)).toEqual(['official', 'paper', 'clean']);
    expect(presets).toContain('condition-frame-per-step');
  });

  it('all give training requests, and have names that folders can have', () => {
    for (const benchmark of BENCHMARK_NAMES) {
      const plan = planOf({ benchmark }, ['a'], 1);
      expect(new Set(plan.variants.map(({ id }) => id)).size).toBe(plan.variants.length);
      for (const { id } of plan.variants) {
        expect(id).toMatch(/^[a-z0-9][a-z0-9.-]*$/);
        const fields = trainingFields(plan, id);
        const parsed = trainRequestSchema.safeParse({ ...fields, subject: ['s'], motion: ['m'], out: 'o' });
        expect(parsed.error?.issues, id).toBeUndefined();
      }
      const { own } = BENCHMARK_CARDS[benchmark];
      if (own !== '') expect(plan.variants.map(({ id }) => id)).toContain(own);
    }
  });

  it('can be chosen by name, others are refused', () => {
    expect(idsOf({ benchmark: 'table1', methods: ['dualreal', 'lora'] }, ['a'], 1)).toEqual([
      'lora',
      'dualreal',
    ]);
    expect(() => planOf({ benchmark: 'table1', methods: ['dora'] }, ['a'], 1)).toThrow('some of dreamvideo');
  });
});

describe('the training of a row', () => {
  it('is what all share, then its own, then what was asked for it alone, field by field', () => {
    const plan = planOf(
      {
        benchmark: 'table1',
        train: { steps: 300, options: { bottleneck: 8 } },
        trainOf: { dualreal: { steps: 100, options: { groups: 2 } } },
      },
      ['a'],
      1,
    );
    expect(trainingFields(plan, 'lora')).toEqual({ steps: 300, options: { bottleneck: 8 }, method: 'lora' });
    expect(trainingFields(plan, 'dualreal')).toEqual({
      steps: 100,
      options: { bottleneck: 8, groups: 2 },
      method: 'dualreal',
    });
  });

  it('for Fig. 2 has every identity stage with every motion stage', () => {
    const plan = planOf(
      {
        benchmark: 'fig2',
        methods: ['isolated', 'lora'],
        identitySteps: [77, 9],
        motionSteps: [0, 40],
        trainOf: { lora: { options: { rank: 4 } } },
      },
      ['a'],
      1,
    );
    expect(plan.variants.slice(0, 4).map(({ id }) => id)).toEqual([
      'isolated-9-0',
      'isolated-9-40',
      'isolated-77-0',
      'isolated-77-40',
    ]);
    expect(trainingFields(plan, 'isolated-77-40').stageSteps).toEqual({ identity: 77, motion: 40 });
    expect(trainingFields(plan, 'lora-77-0')).toMatchObject({
      stageSteps: { identity: 77, motion: 0 },
      options: { rank: 4 },
    });
  });
});
