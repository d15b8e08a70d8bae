import { DualrealError } from '../../tensor/errors.ts';
import { floats, type HostTensor, integers } from '../../tensor/host-tensor.ts';
import { copyElements, requireReadable, type WeightTable } from '../weight-table.ts';
import { type ArenaTensor, type ParameterArena, requireExactTensors } from './parameter-arena.ts';

export interface AdamWSettings {
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  readonly weightDecay: number;
  /** Gradients are scaled down to this global norm where theirs is larger; absent: never. */
  readonly maxGradientNorm?: number;
  /** What single groups multiply the learning rate of every step with; default 1. */
  readonly groupRates?: Readonly<Record<string, number>>;
}

export interface AdamWStep {
  readonly learningRate: number;
  /** Groups that learn in this step (default: all). Of the others nothing changes, as if they did not exist. */
  readonly activeGroups?: readonly string[];
  /** Tensors whose gradient does not exist in this step; they are skipped like those of inactive groups. */
  readonly withoutGradient?: Iterable<string>;
}

export interface AdamWReport {
  /** Global 2-norm of the gradients that took part, before clipping. */
  readonly gradientNorm: number;
  /** The factor that clipping put on the gradients: 1 where they were left alone. */
  readonly clippedBy: number;
}

/** NaN or infinity in a gradient. Nothing was changed. */
export class NonFiniteGradientError extends DualrealError {}

/** A number outside the range in which the optimizer is defined. */
export class OptimizerSettingError extends DualrealError {}

/**
 * AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019) as torch.optim.AdamW
 * computes it: f32 state, coefficients in f64 and then rounded, epsilon outside the square root; with
 * torch.nn.utils.clip_grad_norm_ before it. The step count is kept per tensor, because a tensor without a
 * gradient is skipped entirely: no decay, no moments, no step.
 */
export class AdamW {
  readonly #arena: ParameterArena;
  readonly #settings: AdamWSettings;
  readonly #steps: number[];

  /** The arena's moments become this optimizer's state; a fresh arena is a fresh optimizer. */
  constructor(arena: ParameterArena, settings: AdamWSettings) {
    const { betas, epsilon, weightDecay, maxGradientNorm, groupRates = {} } = settings;
    const isRate = (beta: number) => beta >= 0 && beta < 1;
    requireSetting('betas', 'numbers in [0, 1)', betas, betas.every(isRate));
    requireSetting('epsilon', 'a number ≥ 0', epsilon, isNonNegative(epsilon));
    requireSetting('weightDecay', 'a number ≥ 0', weightDecay, isNonNegative(weightDecay));
    const clips = maxGradientNorm === undefined || maxGradientNorm > 0;
    requireSetting('maxGradientNorm', 'a number > 0', maxGradientNorm, clips);
    const rates = Object.values(groupRates);
    requireSetting('groupRates', 'numbers ≥ 0', rates, rates.every(isNonNegative));
    const strangers = Object.keys(groupRates).filter((group) => !arena.groups.includes(group));
    requireSetting('groupRates', `groups of ${arena.groups.join(', ')}`, strangers, strangers.length === 0);
    this.#arena = arena;
    this.#settings = settings;
    this.#steps = arena.tensors.map(() => 0);
  }

  /** How many updates a tensor has had. */
  stepsOf(name: string): number {
    return this.#steps[this.#arena.tensor(name).index];
  }

  /** One update from the gradients in the arena. Throws before any change where one of them is not finite. */
  step(request: AdamWStep): AdamWReport {
    const { learningRate } = request;
    requireSetting('learningRate', 'a number ≥ 0', learningRate, isNonNegative(learningRate));
    const tensors = this.#tensorsOf(request);
    const gradientNorm = this.#gradientNorm(tensors);
    const { maxGradientNorm } = this.#settings;
    const clippedBy =
      maxGradientNorm === undefined ? 1 : Math.fround(Math.min(1, maxGradientNorm / (gradientNorm + 1e-6)));
    for (const tensor of tensors) {
      this.#update(tensor, learningRate * rateOf(tensor.group, this.#settings), clippedBy);
    }
    return { gradientNorm, clippedBy };
  }

  /** Copies of the state, under torch's names: `<parameter>.exp_avg`, `.exp_avg_sq` (f32), `.step` (i64). */
  state(): Map<string, HostTensor> {
    const state = new Map<string, HostTensor>();
    for (const { name, shape } of this.#arena.tensors) {
      const { first, second } = this.#arena.momentsOf(name);
      state.set(`${name}.exp_avg`, floats(shape, first.slice()));
      state.set(`${name}.exp_avg_sq`, floats(shape, second.slice()));
      state.set(`${name}.step`, integers([], [this.stepsOf(name)]));
    }
    return state;
  }

  /** Continues exactly where {@link state} was taken. Any missing, extra or mis-shaped tensor: no change. */
  loadState(state: WeightTable): void {
    const steps = this.requireState(state);
    for (const { name, index } of this.#arena.tensors) {
      const { first, second } = this.#arena.momentsOf(name);
      copyElements(state.get(`${name}.exp_avg`)!, first);
      copyElements(state.get(`${name}.exp_avg_sq`)!, second);
      this.#steps[index] = steps[index];
    }
  }

  /** Sets the step counts alone, in arena order: the moments were written into the arena. */
  restoreSteps(steps: readonly number[]): void {
    for (const [i, step] of steps.entries()) this.#steps[i] = step;
  }

  /** Throws unless {@link loadState} would take the state; returns its step counts, in arena order. */
  requireState(state: WeightTable): readonly number[] {
    const { tensors } = this.#arena;
    const expected = tensors.flatMap(({ name, shape }) => [
      { name: `${name}.exp_avg`, shape, dtype: 'f32' as const },
      { name: `${name}.exp_avg_sq`, shape, dtype: 'f32' as const },
      { name: `${name}.step`, shape: [], dtype: 'i64' as const },
    ]);
    requireExactTensors('optimizer state', expected, state);
    requireReadable(state);
    const steps = tensors.map(({ name }) => {
      const step = new BigInt64Array(1);
      copyElements(state.get(`${name}.step`)!, step);
      return Number(step[0]);
    });
    const valid = steps.every((count) => Number.isSafeInteger(count) && count >= 0);
    requireSetting('step', 'counts ≥ 0', steps, valid);
    return steps;
  }

  #tensorsOf({ activeGroups, withoutGradient = [] }: AdamWStep): readonly ArenaTensor[] {
    const skipped = new Set([...withoutGradient].map((name) => this.#arena.tensor(name)));
    return this.#arena.tensorsOf(activeGroups).filter((tensor) => !skipped.has(tensor));
  }

  #gradientNorm(tensors: readonly ArenaTensor[]): number {
    const squares = tensors.map((tensor) =>
      this.#arena.kernels.sumOfSquares(this.#arena.addressOf('gradient', tensor), tensor.length),
    );
    const broken = tensors.filter((_, position) => !Number.isFinite(squares[position]));
    if (broken.length > 0) throw this.#nonFinite(broken);
    return Math.sqrt(squares.reduce((sum, square) => sum + square, 0));
  }

  #update(tensor: ArenaTensor, learningRate: number, gradientScale: number): void {
    const { betas, epsilon, weightDecay } = this.#settings;
    const [beta1, beta2] = betas;
    const step = ++this.#steps[tensor.index];
    this.#arena.kernels.adamw(
      this.#arena.addressOf('parameter', tensor),
      this.#arena.addressOf('gradient', tensor),
      this.#arena.addressOf('firstMoment', tensor),
      this.#arena.addressOf('secondMoment', tensor),
      tensor.length,
      gradientScale,
      1 - learningRate * weightDecay,
      beta1,
      1 - beta1,
      beta2,
      1 - beta2,
      -learningRate / (1 - beta1 ** step),
      1 / Math.sqrt(1 - beta2 ** step),
      epsilon,
    );
  }

  #nonFinite(broken: readonly ArenaTensor[]): NonFiniteGradientError {
    const { name } = broken[0];
    const gradient = this.#arena.gradientOf(name);
    const at = gradient.findIndex((value) => !Number.isFinite(value));
    const others = broken.length > 1 ? ` (and in ${broken.length - 1} more tensors)` : '';
    return new NonFiniteGradientError({
      where: `gradient of ${name}`,
      expected: 'finite numbers',
      got: `${gradient[at]} at element ${at} of ${gradient.length}${others}`,
      hint: 'parameters and optimizer state are as they were before this step; a lower learning rate often helps',
    });
  }
}

const isNonNegative = (value: number) => value >= 0 && Number.isFinite(value);

/** What a group's learning rate is multiplied with. */
export function rateOf(group: string, { groupRates }: AdamWSettings): number {
  return groupRates?.[group] ?? 1;
}

function requireSetting(name: string, expected: string, got: unknown, valid: boolean): void {
  if (!valid) throw new OptimizerSettingError({ where: `AdamW ${name}`, expected, got: String(got) });
}
