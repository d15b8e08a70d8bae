import { describe, expect, it } from 'vitest';
import { ablations } from '../methods/index.ts';
import { tinyConfig } from '../methods/trial.cases.ts';
import { planTraining, withRatesOfBase } from './train-plan.ts';
import { type TrainRequestInput, trainRequestSchema } from './train-request.ts';

const base = { imageDim: 12, transformer: tinyConfig };
const plan = (change: Partial<TrainRequestInput> = {}) =>
  planTraining(
    trainRequestSchema.parse({
      ...{ subject: ['photos'], motion: ['clips'], base: 'base', out: 'run' },
      ...(change.method === undefined && { options: { groups: 2 } }),
      ...change,
    }),
    base,
  );
const lengths = (change: Partial<TrainRequestInput>) =>
  plan(change).stages.map(({ first, end }) => end - first);
const dreamvideo = { method: 'dreamvideo', subjectWord: 'dog' } as const;

describe('stages of a request', () => {
  it('are as published where nothing is asked for', () => {
    expect(lengths(dreamvideo)).toEqual([3000, 500, 600]);
    const [{ recipe, batch }] = plan().stages;
    expect(recipe).toMatchObject({ steps: 1000, learningRate: 1e-3, warmupSteps: 200, maxGradientNorm: 1 });
    expect(batch).toEqual({ identity: 1, motion: 3 });
    expect(plan(dreamvideo).stages[0].recipe.maxGradientNorm).toBeUndefined();
  });

  it('divide all steps as published, each getting one at least, for any number', () => {
    expect(lengths({ ...dreamvideo, steps: 410 })).toEqual([300, 50, 60]);
    expect(lengths({ method: 'lora', steps: 5 })).toEqual([3, 2]);
    for (let steps = 3; steps < 400; steps++) {
      const each = lengths({ ...dreamvideo, steps });
      expect(each.reduce((sum, length) => sum + length)).toBe(steps);
      expect(Math.min(...each)).toBeGreaterThanOrEqual(1);
    }
  });

  it('follow each other, with a warm-up of no more than a fifth', () => {
    const { stages, steps } = plan({ ...dreamvideo, stageSteps: { token: 20, identity: 100 } });
    expect(stages.map(({ first, end }) => [first, end])).toEqual([
      [0, 20],
      [20, 120],
      [120, 720],
    ]);
    expect(steps).toBe(720);
    expect(stages.map(({ recipe }) => recipe.warmupSteps)).toEqual([4, 10, 10]);
  });

  it('can be left out, but not all', () => {
    expect(lengths({ method: 'lora', stageSteps: { identity: 5, motion: 0 } })).toEqual([5, 0]);
    expect(() => lengths({ method: 'lora', stageSteps: { identity: 0, motion: 0 } })).toThrow('none of any');
  });

  it('take rates of their own, and batches by what they learn from', () => {
    const { stages } = plan({
      ...{ ...dreamvideo, learningRate: 1e-2, stageLearningRates: { motion: 1e-3 } },
      ...{ subjectBatch: 5, motionBatch: 7, maxGradientNorm: 2 },
    });
    expect(stages.map(({ recipe }) => recipe.learningRate)).toEqual([1e-2, 1e-2, 1e-3]);
    expect(stages.map(({ batch }) => Object.values(batch))).toEqual([[5], [5], [7]]);
    expect(stages.every(({ recipe }) => recipe.maxGradientNorm === 2)).toBe(true);
  });
});

describe('DualReal’s options', () => {
  it('are the preset’s, then the request’s, then the ablation’s', () => {
    const { method, notices } = plan({ preset: 'clean', options: { groups: 4 }, ablation: 'groups-1' });
    expect(method.options).toMatchObject({ options: { groups: 1, skip: false, conditionDim: 12 } });
    expect(notices).toEqual(['the ablation groups-1 sets groups to 1']);
  });

  it('every ablation can be asked for by its name; L is a group for each block', () => {
    for (const { name, training } of ablations(tinyConfig.blocks)) {
      expect(plan({ ablation: name }).method.options).toMatchObject({ training });
    }
    expect(plan({ ablation: 'groups-L' }).method.options).toMatchObject({ options: { groups: 4 } });
  });
});

it('what a method learns nothing from is said', () => {
  const { notices } = plan({ method: 'motionbooth', generic: ['any'], subjectWord: 'dog' });
  expect(notices).toEqual(['the motion clips are not used: motionbooth learns nothing from them']);
});

describe('rates that suit a base', () => {
  const small = {
    ...base,
    name: 'small',
    learningRates: { lora: { identity: 0.01, motion: 0.02 } },
    groupRates: {},
    timestepBias: {},
  };
  const settled = (change: Partial<TrainRequestInput>) =>
    withRatesOfBase(
      trainRequestSchema.parse({
        ...{ subject: ['photos'], motion: ['clips'], base: 'base', out: 'run' },
        ...change,
      }),
      small,
    );

  it('are taken where the request leaves the rate of a stage open, and told', () => {
    const { request, notices } = settled({ method: 'lora', stageLearningRates: { motion: 0.5 } });
    expect(request.stageLearningRates).toEqual({ identity: 0.01, motion: 0.5 });
    expect(notices).toEqual(['settings that suit the base small: learning rate 0.01 for identity']);
    expect(planTraining(request, base).stages.map(({ recipe }) => recipe.learningRate)).toEqual([0.01, 0.5]);
  });

  it.each([
    ['one rate for all', { method: 'lora', learningRate: 0.3 }],
    ['another method', { method: 'full' }],
  ] as const)('are not asked for %s', (_, change) => {
    const { request, notices } = settled(change);
    expect(request.stageLearningRates).toEqual({});
    expect(notices).toEqual([]);
  });

  it('of stages that an ablation does not have are left alone', () => {
    const joint = {
      ...small,
      learningRates: { dualreal: { joint: 0.1 } },
      groupRates: { dualreal: { controller: 0.2 } },
    };
    const request = trainRequestSchema.parse({
      ...{ subject: ['photos'], motion: ['clips'], base: 'base', out: 'run', options: { groups: 2 } },
      ablation: 'without-adaptation',
    });
    expect(withRatesOfBase(request, joint)).toEqual({ request, notices: [] });
  });

  it('of single groups are taken too, whatever the rate of the stage, unless the request has its own', () => {
    const of = (change: Partial<TrainRequestInput>) =>
      withRatesOfBase(
        trainRequestSchema.parse({
          ...{ subject: ['photos'], motion: ['clips'], base: 'base', out: 'run', options: { groups: 2 } },
          ...change,
        }),
        { ...small, groupRates: { dualreal: { controller: 0.2 } } },
      );
    const { request, notices } = of({ learningRate: 0.5 });
    expect(notices).toEqual(['settings that suit the base small: times 0.2 for the group controller']);
    const [{ recipe }] = planTraining(request, base).stages;
    expect(recipe).toMatchObject({ learningRate: 0.5, groupRates: { controller: 0.2 } });
    expect(of({ groupRates: { controller: 1 } }).request.groupRates).toEqual({ controller: 1 });
  });

  it('of a preset come before those of its method', () => {
    const groupRates = { dualreal: { controller: 0.2 }, 'dualreal:official': { controller: 0.1, motion: 3 } };
    const of = (preset: TrainRequestInput['preset']) =>
      withRatesOfBase(
        trainRequestSchema.parse({
          ...{ subject: ['photos'], motion: ['clips'], base: 'base', out: 'run', options: { groups: 2 } },
          preset,
        }),
        { ...small, groupRates },
      ).request.groupRates;
    expect(of('official')).toEqual({ controller: 0.1, motion: 3 });
    expect(of('clean')).toEqual({ controller: 0.2 });
  });

  it('of timesteps are taken for the data that the method learns from', () => {
    const noisy = { ...small, groupRates: {}, timestepBias: { full: { motion: 1.5, generic: 2 } } };
    const of = (change: Partial<TrainRequestInput>) =>
      withRatesOfBase(
        trainRequestSchema.parse({
          ...{ method: 'full', subject: ['photos'], motion: ['clips'], base: 'base', out: 'run' },
          ...change,
        }),
        noisy,
      );
    expect(of({}).request.timestepBias).toEqual({ motion: 1.5 });
    expect(of({}).notices).toEqual([
      'settings that suit the base small: motion steps with timesteps of density t^1.5',
    ]);
    expect(of({ timestepBias: { motion: 0 } }).request.timestepBias).toEqual({ motion: 0 });
    expect(of({ method: 'lora' }).request.timestepBias).toEqual({});
  });

  it('of data that the method does not learn from are refused', () => {
    expect(() => plan({ timestepBias: { generic: 1 } })).toThrow(
      'option --timestep-bias: expected a kind of data of dualreal (identity, motion), got generic',
    );
  });

  it('of groups are those of the stage that trains them', () => {
    const stages = plan({ method: 'lora', groupRates: { motion: 0.5 } }).stages;
    expect(stages.map(({ recipe }) => recipe.groupRates)).toEqual([{}, { motion: 0.5 }]);
  });

  it('of groups that the method does not have are refused', () => {
    expect(() => plan({ groupRates: { controler: 0.1 } })).toThrow(
      'option --group-rate: expected a parameter group of dualreal (identity, motion, condition, controller), got controler',
    );
  });
});
