import { addNoise, type NoiseSchedule, noiseLevels, velocityTarget } from '../diffusion/index.ts';
import { offsetNoise, type Phase } from '../methods/index.ts';
import type { Tensors } from '../runtime/index.ts';
import { type FloatTensor, floats, zeros } from '../tensor/host-tensor.ts';
import { randomStream } from '../tensor/random.ts';
import { sizeOf } from '../tensor/shape.ts';
import type { StepPlan } from './batch-plan.ts';
import { type ItemFeatures, rowOf, sampleLatents, stack } from './features.ts';

/** What a step's inputs are made of. */
export interface StepSources {
  readonly seed: number;
  readonly schedule: NoiseSchedule;
  readonly scalingFactor: number;
  readonly plan: StepPlan;
  readonly phase: Phase;
  readonly items: readonly ItemFeatures[];
  /** [B, 1, E]. */
  readonly condition: FloatTensor | undefined;
  /** Of the empty caption [S, E]. */
  readonly emptyText?: FloatTensor | undefined;
}

/** The inputs of a step, of those that its program asks for; all of its randomness ends here. */
export function stepInputs(sources: StepSources, isAsked: (name: string) => boolean): Tensors {
  const { seed, schedule, scalingFactor, plan, phase, items, condition } = sources;
  const latents = sampleLatents(items, scalingFactor, seed, plan.step);
  const noise = noiseOf(latents, sources);
  const levels = noiseLevels(schedule, plan.timesteps, 'f32');
  const captions = captionsOf(sources);
  return {
    latents: addNoise(latents, noise, levels),
    target: velocityTarget(latents, noise, levels),
    text: stack(captions.map(({ text }) => text)),
    timestep: floats([plan.timesteps.length], plan.timesteps),
    ...(condition && { condition }),
    ...(isAsked('mask') && phase.masks && { mask: stack(items.map(({ mask }) => mask!)) }),
    ...(isAsked('subjectTokens') && {
      subjectTokens: stack(captions.map(({ subjectTokens }) => subjectTokens!)),
    }),
  };
}

function noiseOf({ shape }: FloatTensor, { seed, plan, phase }: StepSources): FloatTensor {
  const noise = floats(shape, randomStream(seed, 'noise', plan.step).normals(sizeOf(shape)));
  const { noiseOffset = 0 } = phase;
  return noiseOffset > 0
    ? offsetNoise(noise, noiseOffset, randomStream(seed, 'noise-offset', plan.step))
    : noise;
}

/** Each sample's caption, or the empty one where it is dropped. */
function captionsOf({
  seed,
  plan,
  phase,
  items,
  emptyText,
}: StepSources): readonly Pick<ItemFeatures, 'text' | 'subjectTokens'>[] {
  const { captionDropout = 0 } = phase;
  return items.map((item, b) => {
    const kept =
      captionDropout === 0 || randomStream(seed, 'caption-dropout', plan.step, b).uniform() >= captionDropout;
    if (kept) return item;
    const text = emptyText!;
    return { text, subjectTokens: zeros('f32', [text.shape[0]]) };
  });
}

/** [B, 1, E] from one condition frame per clip; undefined where the whole batch drops its condition. */
export function conditionOf(
  items: readonly ItemFeatures[],
  { step }: StepPlan,
  seed: number,
  { dropout, frame }: NonNullable<Phase['condition']>,
): FloatTensor | undefined {
  if (dropout > 0 && randomStream(seed, 'condition-dropout', step).uniform() < dropout) return undefined;
  const rows = items.map(({ conditions }, b) => {
    const candidates = conditions!.shape[0];
    const chosen =
      frame === 'per-step' ? randomStream(seed, 'condition-frame', step, b).integer(candidates) : 0;
    return rowOf(conditions!, chosen);
  });
  const stacked = stack(rows);
  return floats([stacked.shape[0], 1, stacked.shape[1]], stacked.data);
}
