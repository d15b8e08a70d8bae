import { DualrealError } from '../../tensor/errors.ts';
import { type FloatTensor, type HostTensor, integers } from '../../tensor/host-tensor.ts';
import { formatShape, type Shape, sameShape } from '../../tensor/shape.ts';
import type { SamplerKind } from '../scheduler-config.ts';

/** A sampler's state that does not belong to the sampler it is given to. */
export class SamplerStateError extends DualrealError {}

/** Everything a sampler carries from one step to the next. Plain, immutable data. */
export interface SamplerState {
  /** The step to take next; equal to the number of timesteps once sampling is done. */
  readonly stepIndex: number;
  /** The current noisy sample x_t. [B, …] */
  readonly sample: FloatTensor;
  /** The x0 estimate of the step before, for multistep samplers. [B, …] */
  readonly previousOriginal?: FloatTensor;
}

export interface SamplerStep {
  readonly state: SamplerState;
  /** The x0 estimate of this step, for previews. [B, …] */
  readonly original: FloatTensor;
}

/** Standard normal noise for one step: a pure function of its arguments, so that a resumed run repeats it. */
export type NoiseSource = (stepIndex: number, shape: Shape) => FloatTensor;

/**
 * One sampling run's rule, free of state: `step` maps a state and the model's output for it to the next state.
 * At step i the model is called with `state.sample` and `timesteps[i]`.
 */
export interface Sampler {
  readonly kind: SamplerKind;
  /** Descending training timesteps, one per step. */
  readonly timesteps: readonly number[];
  /** The state before the first step. `noise` is standard normal; no scaling is needed. [B, …] */
  initialState(noise: FloatTensor): SamplerState;
  /**
   * How many normal tensors upstream draws in this step; only the last of them enters the sample. A
   * {@link NoiseSource} gives just that one; replaying upstream's sequence of draws needs the count.
   */
  noiseDraws(stepIndex: number): number;
  /**
   * Throws {@link SamplerStateError} where the run is over or the state is another sampler's, ShapeError where
   * model output or noise does not have the sample's shape.
   */
  step(state: SamplerState, modelOutput: FloatTensor, noise: NoiseSource): SamplerStep;
}

/** True once every step is taken; `state.sample` is then the result. */
export function isFinished(sampler: Sampler, state: SamplerState): boolean {
  return state.stepIndex === sampler.timesteps.length;
}

/** Throws unless `state` can take a step under this rule. */
export function requireRunnable(kind: SamplerKind, steps: number, state: SamplerState): void {
  const { stepIndex, sample, previousOriginal } = state;
  const where = `${kind} sampler`;
  if (!Number.isInteger(stepIndex) || stepIndex < 0 || stepIndex >= steps) {
    throw new SamplerStateError({ where, expected: `a step from 0 to ${steps - 1}`, got: String(stepIndex) });
  }
  const expectsOriginal = kind === 'dpm' && stepIndex > 0;
  if (expectsOriginal !== (previousOriginal !== undefined)) {
    throw new SamplerStateError({
      where,
      expected: `a state ${expectsOriginal ? 'with' : 'without'} the previous x0 at step ${stepIndex}`,
      got: expectsOriginal ? 'none' : 'one',
      hint: 'resume a run with the sampler that started it',
    });
  }
  if (previousOriginal && !sameShape(previousOriginal.shape, sample.shape)) {
    throw new SamplerStateError({
      where,
      expected: `a previous x0 of shape ${formatShape(sample.shape)}`,
      got: formatShape(previousOriginal.shape),
    });
  }
}

const POSITION = 'sampler.position';
const SAMPLE = 'sampler.sample';
const ORIGINAL = 'sampler.previous_original';

/** The state as named tensors, ready for a safetensors file. `sampler.position` is [step index, steps]. */
export function samplerStateToTensors(sampler: Sampler, state: SamplerState): Map<string, HostTensor> {
  const tensors = new Map<string, HostTensor>([
    [POSITION, integers([2], [state.stepIndex, sampler.timesteps.length])],
    [SAMPLE, state.sample],
  ]);
  if (state.previousOriginal) tensors.set(ORIGINAL, state.previousOriginal);
  return tensors;
}

/**
 * The state that {@link samplerStateToTensors} wrote. Throws {@link SamplerStateError} where a tensor is missing
 * or of the wrong type, or where the state was not written by a sampler of this kind and number of steps.
 */
export function samplerStateFromTensors(
  sampler: Sampler,
  tensors: ReadonlyMap<string, HostTensor>,
): SamplerState {
  const position = tensors.get(POSITION);
  if (position?.dtype !== 'i64' || position.data.length !== 2) {
    throw new SamplerStateError({
      where: POSITION,
      expected: 'two i64 values',
      got: position ? `${position.dtype} ${formatShape(position.shape)}` : 'no such tensor',
    });
  }
  const [stepIndex, steps] = Array.from(position.data, Number);
  if (steps !== sampler.timesteps.length) {
    throw new SamplerStateError({
      where: POSITION,
      expected: `a run of ${sampler.timesteps.length} steps`,
      got: `one of ${steps}`,
      hint: 'resume a run with the number of steps that it was started with',
    });
  }
  const sample = requireFloats(tensors, SAMPLE);
  const state: SamplerState = tensors.has(ORIGINAL)
    ? { stepIndex, sample, previousOriginal: requireFloats(tensors, ORIGINAL) }
    : { stepIndex, sample };
  if (stepIndex !== steps) requireRunnable(sampler.kind, steps, state);
  return state;
}

function requireFloats(tensors: ReadonlyMap<string, HostTensor>, name: string): FloatTensor {
  const tensor = tensors.get(name);
  if (tensor?.dtype === 'f32') return tensor as FloatTensor;
  throw new SamplerStateError({
    where: name,
    expected: 'an f32 tensor',
    got: tensor?.dtype ?? 'no such tensor',
  });
}
