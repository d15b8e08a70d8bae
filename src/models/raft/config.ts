import { z } from 'zod';
import { parseModelConfig } from '../config.ts';
import { positiveInteger } from '../transformers-config.ts';

const schema = z.strictObject({
  small: z.boolean(),
  iters: positiveInteger.default(20),
  // Upstream's way to compute the same correlations with less memory, through its own CUDA kernel.
  alternate_corr: z.literal(false).optional(),
  mixed_precision: z.literal(false).optional(),
  dropout: z.literal(0).optional(),
});

/** RAFT's two architectures (princeton-vl/RAFT `core/raft.py`). */
export interface RaftConfig {
  /** The small one; the published raft-things, -sintel and -kitti are the other. */
  readonly small: boolean;
  /** Refinements of the flow. */
  readonly iterations: number;
}

/** Reads a description of a RAFT checkpoint; the official files come without one (`{"small": false}`). */
export function parseRaftConfig(json: unknown, where = 'config.json'): RaftConfig {
  const c = parseModelConfig(schema, json, where, 'a RAFT model');
  return { small: c.small, iterations: c.iters };
}

/** What the two architectures differ in. */
export interface RaftSizes {
  /** Channels of the recurrent state. */
  readonly hidden: number;
  /** Channels of the context that is fed at every iteration. */
  readonly context: number;
  /** Channels that images are matched by. */
  readonly features: number;
  /** The correlation window is 2·radius + 1 wide. */
  readonly radius: number;
}

export function raftSizes({ small }: RaftConfig): RaftSizes {
  return small
    ? { hidden: 96, context: 64, features: 128, radius: 3 }
    : { hidden: 128, context: 128, features: 256, radius: 4 };
}

/** Levels of the correlation pyramid. */
export const LEVELS = 4;
/** The flow is refined at 1/8 of the resolution. */
export const STRIDE = 8;
/** Smallest side in pixels: the coarsest correlation level must be two wide. */
export const MIN_SIDE = STRIDE * 2 ** LEVELS;
