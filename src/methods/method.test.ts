import { describe, expect, it } from 'vitest';
import { printProgram } from '../graph/index.ts';
import { ablations } from './ablations.ts';
import { DUALREAL_PRESETS, dualRealObjective, parameterGroup, requireGroups } from './dualreal/index.ts';
import { dualRealMethod } from './dualreal/method.ts';
import { METHOD_NAMES, MethodOptionsError, openMethod } from './index.ts';
import { expectGradients, gradientNames, tinyBatch, tinyConfig } from './trial.cases.ts';

const options = { ...DUALREAL_PRESETS.official, bottleneck: 8, conditionDim: 12, groups: 2 };
const conditioned = { ...tinyBatch, conditioned: true };
const shapeOf = (phase: string) => (phase === 'motion' ? conditioned : tinyBatch);

const OPTIONS = {
  dualreal: { options },
  lora: { rank: 3, alpha: 6 },
  full: {},
  dreamvideo: { conditionDim: 12 },
  motionbooth: { tune: 'lora', lora: { rank: 2, alpha: 2 } },
} as const;

describe.each(METHOD_NAMES)('method %s', (name) => {
  const method = openMethod(name, OPTIONS[name]);
  const declared = method.parameters(tinyConfig);

  it('opens again from what it says its options are', () => {
    expect(method.name).toBe(name);
    expect(JSON.stringify(openMethod(name, JSON.parse(JSON.stringify(method.options))))).toBe(
      JSON.stringify(method),
    );
  });

  it('every stage holds groups that exist, every phase learns some of them, all are trained', () => {
    const groups = new Set([...declared.values()].map(({ group }) => group));
    const held = method.stages.flatMap((stage) => stage.groups);
    expect(new Set(held)).toEqual(groups);
    for (const { groups: own, phases } of method.stages) {
      expect(new Set(phases.flatMap(({ learning }) => learning))).toEqual(new Set(own));
    }
  });

  it('the trainable inputs of a phase are of its stage, its gradients of what it learns', () => {
    for (const { name: stage, groups, phases } of method.stages) {
      for (const { name: phase, learning } of phases) {
        const program = method.objective({ config: tinyConfig, stage, phase, shape: shapeOf(phase) });
        const trainable = [...program.inputs.keys()].filter((input) => declared.has(input));
        expect(trainable.every((input) => groups.includes(declared.get(input)!.group))).toBe(true);
        expect(new Set(gradientNames(program).map((input) => declared.get(input)!.group))).toEqual(
          new Set(learning),
        );
        expect(program.outputs.has('loss')).toBe(true);
      }
    }
  });

  it('samples with every trained tensor as a weight, or as an input while it is trained', () => {
    const request = { config: tinyConfig, shape: { ...conditioned, batch: 2 }, guided: true };
    const frozen = method.sampling(request);
    const all = method.sampling({
      ...request,
      live: [...new Set([...declared.values()].map((p) => p.group))],
    });
    for (const parameter of declared.keys()) {
      expect(frozen.weights.has(parameter), parameter).toBe(true);
      expect(all.inputs.has(parameter), parameter).toBe(true);
    }
    expect(frozen.outputs.get('output')!.shape).toEqual([2, 2, 4, 4, 4]);
  });

  it('names the option that it does not know', () => {
    expect(() => openMethod(name, { ...OPTIONS[name], speed: 3 })).toThrow(MethodOptionsError);
    expect(() => openMethod(name, { ...OPTIONS[name], speed: 3 })).toThrow(/speed/);
  });
});

describe('DualReal as a method', () => {
  it('has the programs it always had', () => {
    const method = dualRealMethod({ options });
    for (const [phase, learning] of [
      ['identity', ['identity', 'controller']],
      ['motion', ['motion', 'condition', 'controller']],
    ] as const) {
      const own = method.objective({ config: tinyConfig, stage: 'joint', phase, shape: shapeOf(phase) });
      expect(printProgram(own)).toBe(
        printProgram(dualRealObjective(tinyConfig, options, shapeOf(phase), learning)),
      );
    }
  });

  it('without controller there is no group of that name to learn', () => {
    const method = dualRealMethod({ options: { ...options, groups: 0 } });
    expect(method.stages[0].groups).toEqual(['identity', 'motion', 'condition']);
    expect(method.stages[0].phases.map(({ learning }) => learning)).toEqual([
      ['identity'],
      ['motion', 'condition'],
    ]);
  });

  it('isolated: one dimension after the other, without the other one at work', async () => {
    const method = dualRealMethod({ options: { ...options, groups: 0 }, training: 'isolated' });
    expect(method.stages.map(({ name, groups }) => [name, groups])).toEqual([
      ['identity', ['identity']],
      ['motion', ['motion', 'condition']],
    ]);
    const program = method.objective({
      config: tinyConfig,
      stage: 'identity',
      phase: 'identity',
      shape: tinyBatch,
    });
    const names = [...program.inputs.keys(), ...program.weights.keys()];
    expect(names.some((name) => parameterGroup(name) === 'motion')).toBe(false);
    await expectGradients(method, { stage: 'identity', phase: 'identity' }, tinyBatch);
    expect(() => openMethod('dualreal', { options, training: 'isolated' })).toThrow(/groups must be 0/);
  });

  it('unmasked: a motion step trains both', async () => {
    const method = dualRealMethod({ options, training: 'unmasked' });
    await expectGradients(method, { stage: 'joint', phase: 'motion' }, conditioned, [/id_/, /motion_/]);
  });
});

describe('ablations', () => {
  it('are the rows of the tables, each difference once, and fit the depth', () => {
    const all = ablations(14);
    const names = (family: string) => all.filter((each) => each.family === family).map(({ name }) => name);
    expect(names('components')).toEqual([
      'full',
      'without-adaptation',
      'without-controller',
      'without-groups',
    ]);
    expect(names('groups')).toEqual(['groups-1', 'groups-2', 'groups-7', 'groups-14']);
    expect(names('adaptation')).toEqual(['without-mask']);
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
    for (const { options: changes } of all) {
      expect(Object.keys(changes).length).toBeLessThanOrEqual(1);
      requireGroups(changes.groups ?? 7, 14);
    }
    for (const { options: changes, training } of all) {
      openMethod('dualreal', { options: { ...DUALREAL_PRESETS.official, ...changes }, training });
    }
  });

  it('together the differences of a preset are the preset', () => {
    for (const preset of ['paper', 'clean'] as const) {
      const changes = ablations(14)
        .filter(({ family, title }) => family === 'presets' && title.includes(preset))
        .map((each) => each.options);
      expect(Object.assign({}, DUALREAL_PRESETS.official, ...changes)).toEqual(DUALREAL_PRESETS[preset]);
    }
  });

  it('leave out numbers of groups that do not divide the depth', () => {
    const counts = ablations(4).filter(({ family }) => family === 'groups');
    expect(counts.map(({ options: { groups } }) => groups)).toEqual([1, 2, 4]);
  });
});
