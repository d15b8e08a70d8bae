import { describe, expect, it } from 'vitest';
import { type HostTensor, integers } from '../../tensor/host-tensor.ts';
import { randomStream } from '../../tensor/random.ts';
import {
  AdamW,
  type AdamWSettings,
  type AdamWStep,
  NonFiniteGradientError,
  OptimizerSettingError,
} from './adamw.ts';
import { startMovingAverage, updateMovingAverage } from './moving-average.ts';
import { ParameterArena, type TrainableTensor } from './parameter-arena.ts';

const TENSORS: readonly TrainableTensor[] = [
  { name: 'identity.weight', shape: [13, 5], group: 'identity' },
  { name: 'identity.bias', shape: [3], group: 'identity' },
  { name: 'motion.weight', shape: [7, 7], group: 'motion' },
  { name: 'motion.condition', shape: [1], group: 'motion' },
  { name: 'controller.weight', shape: [129], group: 'controller' },
];
const SETTINGS: AdamWSettings = { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.02, maxGradientNorm: 1 };

function trainable(settings = SETTINGS): { arena: ParameterArena; optimizer: AdamW } {
  const arena = new ParameterArena(TENSORS, { average: true });
  for (const { name, length } of arena.tensors) {
    arena.parameterOf(name).set(randomStream(1, 'parameters', name).normals(length));
  }
  return { arena, optimizer: new AdamW(arena, settings) };
}

function setGradients(arena: ParameterArena, step: number, scale = 1): void {
  for (const { name, length } of arena.tensors) {
    const gradient = randomStream(2, 'gradients', name, step).normals(length);
    arena.gradientOf(name).set(gradient.map((value) => value * scale));
  }
}

/** Everything the optimizer may change, as plain arrays. */
function snapshot(arena: ParameterArena): Record<string, number[][]> {
  return Object.fromEntries(
    arena.tensors.map(({ name }) => {
      const { first, second } = arena.momentsOf(name);
      return [name, [[...arena.parameterOf(name)], [...first], [...second]]];
    }),
  );
}

/** The same optimizer in f64, one array per tensor, without any of the arena. */
class DoubleAdamW {
  readonly parameters = new Map<string, number[]>();
  readonly #moments = new Map<string, { first: number[]; second: number[]; step: number }>();

  constructor(arena: ParameterArena) {
    for (const { name, length } of arena.tensors) {
      this.parameters.set(name, [...arena.parameterOf(name)]);
      const zeros = () => Array.from({ length }, () => 0);
      this.#moments.set(name, { first: zeros(), second: zeros(), step: 0 });
    }
  }

  step(
    arena: ParameterArena,
    names: readonly string[],
    learningRate: number,
    settings: AdamWSettings,
  ): number {
    const { betas, epsilon, weightDecay, maxGradientNorm } = settings;
    const all = names.flatMap((name) => [...arena.gradientOf(name)]);
    const norm = Math.sqrt(all.reduce((sum, value) => sum + value * value, 0));
    const clip = maxGradientNorm ? Math.min(1, maxGradientNorm / (norm + 1e-6)) : 1;
    for (const name of names) {
      const state = this.#moments.get(name)!;
      const parameter = this.parameters.get(name)!;
      state.step++;
      for (const [i, raw] of arena.gradientOf(name).entries()) {
        const gradient = raw * clip;
        state.first[i] = betas[0] * state.first[i] + (1 - betas[0]) * gradient;
        state.second[i] = betas[1] * state.second[i] + (1 - betas[1]) * gradient * gradient;
        const mean = state.first[i] / (1 - betas[0] ** state.step);
        const deviation = Math.sqrt(state.second[i] / (1 - betas[1] ** state.step));
        parameter[i] -= learningRate * (weightDecay * parameter[i] + mean / (deviation + epsilon));
      }
    }
    return norm;
  }
}

const namesOf = (...groups: string[]) =>
  TENSORS.filter(({ group }) => groups.includes(group)).map(({ name }) => name);

describe('AdamW', () => {
  it.each([
    ['clipped', SETTINGS, 1],
    ['below the clipping norm', SETTINGS, 1e-3],
    ['without clipping', { betas: [0.9, 0.999], epsilon: 1e-6, weightDecay: 0 } as AdamWSettings, 1],
  ])('follows the f64 reference over 40 steps of alternating phases: %s', (_label, settings, scale) => {
    const { arena, optimizer } = trainable(settings);
    const reference = new DoubleAdamW(arena);
    for (let step = 0; step < 40; step++) {
      setGradients(arena, step, scale);
      const learningRate = 1e-3 * (1 - step / 80);
      const activeGroups = [step % 3 === 0 ? 'identity' : 'motion', 'controller'];
      const withoutGradient = step % 4 === 1 ? ['motion.condition'] : [];
      const names = namesOf(...activeGroups).filter((name) => !withoutGradient.includes(name));
      const norm = reference.step(arena, names, learningRate, settings);
      const report = optimizer.step({ learningRate, activeGroups, withoutGradient });
      expect(Math.abs(report.gradientNorm - norm)).toBeLessThanOrEqual(1e-13 * norm);
      const limit = settings.maxGradientNorm ?? Number.POSITIVE_INFINITY;
      expect(report.clippedBy).toBe(Math.fround(Math.min(1, limit / (norm + 1e-6))));
    }
    // 40 f32 roundings of parameters near 1, and of updates near 1e-3.
    for (const { name } of arena.tensors) {
      const worst = [...arena.parameterOf(name)].reduce(
        (most, value, i) => Math.max(most, Math.abs(value - reference.parameters.get(name)![i])),
        0,
      );
      expect(worst, name).toBeLessThan(3e-6);
      expect(worst, name).toBeGreaterThan(0);
    }
    expect(optimizer.stepsOf('identity.bias')).toBe(14);
    expect(optimizer.stepsOf('controller.weight')).toBe(40);
  });

  it('leaves inactive groups and tensors without gradient exactly as they are, whatever their gradients hold', () => {
    const { arena, optimizer } = trainable();
    setGradients(arena, 0);
    optimizer.step({ learningRate: 1e-3 });
    const before = snapshot(arena);
    for (const name of [...namesOf('identity'), 'motion.condition']) arena.gradientOf(name).fill(Number.NaN);
    const request: AdamWStep = {
      learningRate: 1e-3,
      activeGroups: ['motion', 'controller'],
      withoutGradient: ['motion.condition', 'identity.bias'],
    };
    const { gradientNorm } = optimizer.step(request);
    const after = snapshot(arena);
    const changed = arena.tensors.filter(({ name }) => String(before[name]) !== String(after[name]));
    expect(changed.map(({ name }) => name)).toEqual(['motion.weight', 'controller.weight']);
    const counts = arena.tensors.map(({ name }) => optimizer.stepsOf(name));
    expect(counts).toEqual([1, 1, 2, 1, 2]);
    const taking = [...arena.gradientOf('motion.weight'), ...arena.gradientOf('controller.weight')];
    expect(gradientNorm).toBeCloseTo(Math.sqrt(taking.reduce((sum, value) => sum + value * value, 0)), 10);
  });

  it('does nothing where no group is active', () => {
    const { arena, optimizer } = trainable();
    setGradients(arena, 0);
    const before = snapshot(arena);
    expect(optimizer.step({ learningRate: 1, activeGroups: [] })).toEqual({ gradientNorm: 0, clippedBy: 1 });
    expect(snapshot(arena)).toEqual(before);
  });

  it('names the tensor and element of a gradient that is not finite, and changes nothing', () => {
    const { arena, optimizer } = trainable();
    setGradients(arena, 0);
    const before = snapshot(arena);
    arena.gradientOf('motion.weight')[17] = Number.NEGATIVE_INFINITY;
    const step = () => optimizer.step({ learningRate: 1e-3 });
    expect(step).toThrow(NonFiniteGradientError);
    expect(step).toThrow(
      /gradient of motion\.weight: expected finite numbers, got -Infinity at element 17 of 49\n/,
    );
    arena.gradientOf('controller.weight')[128] = Number.NaN;
    expect(step).toThrow(/-Infinity at element 17 of 49 \(and in 1 more tensors\)/);
    expect(snapshot(arena)).toEqual(before);
    expect(optimizer.stepsOf('motion.weight')).toBe(0);
  });

  it('is not influenced by what lies in the padding between tensors', () => {
    const [clean, dirty] = [trainable(), trainable()];
    const whole = new Float32Array(dirty.arena.parameterOf('identity.weight').buffer);
    const inside = new Set<number>();
    const planes = ['parameter', 'gradient', 'firstMoment', 'secondMoment', 'average'] as const;
    for (const plane of planes) {
      for (const { name } of dirty.arena.tensors) {
        const view = dirty.arena.view(plane, name);
        for (let i = 0; i < view.length; i++) inside.add(view.byteOffset / 4 + i);
      }
    }
    for (let i = 0; i < whole.length; i++) if (!inside.has(i)) whole[i] = Number.NaN;
    for (let step = 0; step < 3; step++) {
      const reports = [clean, dirty].map(({ arena, optimizer }) => {
        setGradients(arena, step);
        return optimizer.step({ learningRate: 1e-2 });
      });
      expect(reports[1]).toEqual(reports[0]);
    }
    expect(snapshot(dirty.arena)).toEqual(snapshot(clean.arena));
    expect(whole.every((value, i) => inside.has(i) || Number.isNaN(value))).toBe(true);
  });

  it('continues bit-exactly from a saved state: N + N steps = 2N steps', () => {
    const phase = (step: number): AdamWStep => ({
      learningRate: 1e-2,
      activeGroups: [step % 2 ? 'identity' : 'motion', 'controller'],
      withoutGradient: step % 3 ? [] : ['motion.condition'],
    });
    const train = ({ arena, optimizer }: ReturnType<typeof trainable>, from: number, to: number) => {
      for (let step = from; step < to; step++) {
        setGradients(arena, step);
        optimizer.step(phase(step));
      }
    };
    const straight = trainable();
    train(straight, 0, 10);

    const firstHalf = trainable();
    train(firstHalf, 0, 5);
    const state = firstHalf.optimizer.state();
    const parameters = TENSORS.map(({ name }) => firstHalf.arena.parameterOf(name).slice());
    train(firstHalf, 5, 7);

    const secondHalf = trainable();
    TENSORS.forEach(({ name }, index) => {
      secondHalf.arena.parameterOf(name).set(parameters[index]);
    });
    secondHalf.optimizer.loadState(state);
    train(secondHalf, 5, 10);
    expect(snapshot(secondHalf.arena)).toEqual(snapshot(straight.arena));
    expect(secondHalf.optimizer.state()).toEqual(straight.optimizer.state());
  });

  it('refuses a state that is not exactly its own, listing what is wrong, and keeps its own', () => {
    const { arena, optimizer } = trainable();
    setGradients(arena, 0);
    optimizer.step({ learningRate: 1e-3 });
    const good = optimizer.state();
    const broken = new Map<string, HostTensor>(good);
    broken.delete('identity.bias.exp_avg');
    broken.set('identity.weight.step', good.get('motion.condition.exp_avg')!);
    expect(() => optimizer.loadState(broken)).toThrow(
      'identity.weight.step is f32 [1] instead of i64 []; identity.bias.exp_avg is missing',
    );
    const negative = new Map(good).set('motion.weight.step', integers([], [-1]));
    expect(() => optimizer.loadState(negative)).toThrow(OptimizerSettingError);
    expect(optimizer.state()).toEqual(good);
  });

  it('gives single groups their own rate: decay and update of those, nothing else', () => {
    const rates = { controller: 0.1, identity: 2 };
    const own = trainable({ ...SETTINGS, groupRates: rates });
    const plain = Object.fromEntries(Object.values(rates).map((scale) => [scale, trainable()] as const));
    const one = trainable();
    for (let step = 0; step < 3; step++) {
      setGradients(own.arena, step);
      own.optimizer.step({ learningRate: 1e-2 });
      for (const [scale, { arena, optimizer }] of Object.entries(plain)) {
        setGradients(arena, step);
        optimizer.step({ learningRate: 1e-2 * Number(scale) });
      }
      setGradients(one.arena, step);
      one.optimizer.step({ learningRate: 1e-2 });
    }
    const [found, unchanged] = [snapshot(own.arena), snapshot(one.arena)];
    for (const { name, group } of TENSORS) {
      const scale = rates[group as keyof typeof rates];
      expect(found[name]).toEqual(scale === undefined ? unchanged[name] : snapshot(plain[scale].arena)[name]);
    }
    expect(found['controller.weight']).not.toEqual(unchanged['controller.weight']);
  });

  it('refuses numbers for which AdamW is not defined', () => {
    const { arena, optimizer } = trainable();
    for (const settings of [
      { ...SETTINGS, betas: [1, 0.9] as const },
      { ...SETTINGS, betas: [0.9, -0.1] as const },
      { ...SETTINGS, epsilon: -1 },
      { ...SETTINGS, weightDecay: Number.NaN },
      { ...SETTINGS, maxGradientNorm: 0 },
      { ...SETTINGS, groupRates: { motion: -1 } },
      { ...SETTINGS, groupRates: { controler: 0.1 } },
    ]) {
      expect(() => new AdamW(arena, settings)).toThrow(OptimizerSettingError);
    }
    for (const learningRate of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => optimizer.step({ learningRate })).toThrow(OptimizerSettingError);
    }
    expect(() => optimizer.step({ learningRate: 1, withoutGradient: ['nobody'] })).toThrow(/nobody/);
  });

  it('reaches the end of a full 4 GiB memory', () => {
    // Only the last, small tensor is touched; the system does not have to provide the rest.
    const arena = new ParameterArena([
      { name: 'large', shape: [2 ** 28 - 16], group: 'rest' },
      { name: 'last', shape: [16], group: 'used' },
    ]);
    expect(arena.sizeBytes).toBe(2 ** 32);
    const optimizer = new AdamW(arena, { betas: [0, 0], epsilon: 0, weightDecay: 0 });
    arena.parameterOf('last').fill(1);
    arena.gradientOf('last').fill(-0.5);
    expect(optimizer.step({ learningRate: 0.25, activeGroups: ['used'] }).gradientNorm).toBe(2);
    expect(new Set(arena.parameterOf('last'))).toEqual(new Set([1.25]));
    expect(new Set(arena.momentsOf('last').second)).toEqual(new Set([0.25]));
    expect(arena.momentsOf('last').second.byteOffset).toBe(2 ** 32 - 64);
  });
});

describe('moving average', () => {
  it('starts at the parameters and follows the groups it is told', () => {
    const { arena } = trainable();
    startMovingAverage(arena);
    const start = arena.parameterOf('identity.weight').slice();
    expect(arena.averageOf('identity.weight')).toEqual(start);
    for (const { name } of arena.tensors) arena.parameterOf(name).fill(2);
    updateMovingAverage(arena, 0.75, ['identity']);
    arena.averageOf('identity.weight').forEach((value, i) => {
      expect(value).toBeCloseTo(0.75 * start[i] + 0.5, 6);
    });
    expect(arena.averageOf('motion.weight')).not.toContain(2);
    updateMovingAverage(arena, 0);
    expect(new Set(arena.averageOf('motion.weight'))).toEqual(new Set([2]));
    expect(() => updateMovingAverage(arena, 1.5)).toThrow(OptimizerSettingError);
  });
});
