import { z } from 'zod';
import { parseModelConfig } from '../config.ts';

const schema = z.strictObject({
  // AMT-L and AMT-G have other update blocks and encoders.
  amt: z.literal('S'),
  corr_radius: z.literal(3).default(3),
  corr_lvls: z.literal(4).default(4),
  num_flows: z.int().positive().default(3),
});

/** AMT-S (MCG-NKU/AMT `networks/AMT-S.py`). */
export interface AmtConfig {
  /** Pairs of flow fields that are merged in the end. */
  readonly flows: number;
}

/** Reads a description of an AMT checkpoint; amt-s.pth comes without one: `{"amt": "S"}` means it. */
export function parseAmtConfig(json: unknown, where = 'config.json'): AmtConfig {
  return { flows: parseModelConfig<z.output<typeof schema>>(schema, json, where, 'AMT-S').num_flows };
}

/** Correlations are looked up in windows 2·radius + 1 wide. */
export const RADIUS = 3;
/** Channels of the context pyramid, from 1/2 to 1/16 of the resolution. */
export const CHANNELS = [20, 32, 44, 56] as const;
/** Channels that residual blocks refine on the side. */
export const SIDE_CHANNELS = 20;
/** Channels that images are matched by. */
export const FEATURES = 84;
/** Both sides of an image are multiples of it. */
export const STRIDE = 16;
/** Smallest side: the coarsest correlation level must be two wide, and 1/16 of the resolution whole. */
export const MIN_SIDE = 128;
