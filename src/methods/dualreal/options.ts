import { z } from 'zod';
import { DualrealError } from '../../tensor/errors.ts';

/**
 * Everything in which the official release, the paper's printed equations and our own improvement differ,
 * one named option for each difference. The shapes of an adapter depend on the first four.
 */
export const dualRealOptionsSchema = z.strictObject({
  /** Width of the adapters' bottleneck. */
  bottleneck: z.number().int().positive(),
  /** Width of the image embedding that conditions the motion adapters. */
  conditionDim: z.number().int().positive(),
  /** Depth groups n that the controller weights; must divide the number of blocks. 0: no controller. */
  groups: z.number().int().nonnegative(),
  /** 'sites': added inside each block after attention and after feed-forward, before the gates (release).
   *  'block': one adapter of each kind, added to the block's output (paper, Eq. 3). */
  placement: z.enum(['sites', 'block']),
  /** What the identity and the motion weight sum to: 0.2 (release) or 1 (paper, Eq. 3). */
  weightTotal: z.number().positive(),
  /** 'sigmoid': an independent share for each group (release). 'softmax': over the groups (paper, Eq. 12). */
  weightActivation: z.enum(['sigmoid', 'softmax']),
  /**
   * Share of the total that either adapter keeps whatever the controller says. 0 (release, paper) lets one phase
   * silence the other's adapter, which then gets no gradient and cannot come back.
   */
  weightFloor: z.number().min(0).max(0.5),
  /** Which adapter the controller's output scales; the other gets the complement. */
  weightScales: z.enum(['identity', 'motion']),
  /** GELU between the two projections (release) or outside both (paper, Eq. 1–2). */
  geluPlacement: z.enum(['between', 'outside']),
  /** Whether an adapter's result includes its input, which shifts the base model from step 0 on (release). */
  skip: z.boolean(),
  /** How the condition enters: a linear map of it is added (release) or multiplied (paper, Eq. 2). */
  conditionForm: z.enum(['add', 'multiply']),
  /** Controller: modulate, then MLP (release), or MLP of the norm first, then modulate (paper, Eq. 8). */
  controllerOrder: z.enum(['modulate-mlp', 'mlp-modulate']),
  /** Pooling over all tokens: max (release); the paper says only "Pooling". */
  pooling: z.enum(['max', 'mean']),
  /** Normalisation of the training frame for the image encoder: to [−1, 1] (release) or as at inference. */
  conditionPixels: z.enum(['symmetric', 'encoder']),
  /** The condition frame of a clip: drawn once (release) or at every step. */
  conditionFrame: z.enum(['once', 'per-step']),
  /** Probability of dropping the condition in a motion step. */
  conditionDropout: z.number().min(0).max(1),
});

export type DualRealOptions = z.infer<typeof dualRealOptionsSchema>;

const OFFICIAL: DualRealOptions = {
  bottleneck: 64,
  conditionDim: 1024,
  groups: 7,
  placement: 'sites',
  weightTotal: 0.2,
  weightActivation: 'sigmoid',
  weightFloor: 0,
  weightScales: 'identity',
  geluPlacement: 'between',
  skip: true,
  conditionForm: 'add',
  controllerOrder: 'modulate-mlp',
  pooling: 'max',
  conditionPixels: 'symmetric',
  conditionFrame: 'once',
  conditionDropout: 0,
};

/**
 * official: the release to rounding, so that released weights load. paper: the printed equations. clean:
 * the release with the base model untouched at step 0, weights that cannot silence an adapter, and a condition
 * that is prepared in training as it is at inference, with a fresh frame and dropout at every step.
 */
export const DUALREAL_PRESETS = {
  official: OFFICIAL,
  paper: {
    ...OFFICIAL,
    placement: 'block',
    weightTotal: 1,
    weightActivation: 'softmax',
    weightScales: 'motion',
    geluPlacement: 'outside',
    skip: false,
    conditionForm: 'multiply',
    controllerOrder: 'mlp-modulate',
    pooling: 'mean',
    conditionPixels: 'encoder',
    conditionFrame: 'per-step',
  },
  clean: {
    ...OFFICIAL,
    weightTotal: 1,
    weightFloor: 0.3,
    skip: false,
    conditionPixels: 'encoder',
    conditionFrame: 'per-step',
    conditionDropout: 0.1,
  },
} as const satisfies Record<string, DualRealOptions>;

export type DualRealPreset = keyof typeof DUALREAL_PRESETS;

/** A number of weight groups that does not divide the depth. */
export class GroupCountError extends DualrealError {}

/** Throws {@link GroupCountError} unless the groups divide the blocks (release: L·g/n … boundaries). */
export function requireGroups(groups: number, blocks: number): void {
  if (groups === 0 || blocks % groups === 0) return;
  const divisors = Array.from({ length: blocks }, (_, i) => i + 1).filter((n) => blocks % n === 0);
  throw new GroupCountError({
    where: 'option groups',
    expected: `a divisor of the ${blocks} transformer blocks (${divisors.join(', ')})`,
    got: String(groups),
  });
}
