import type { WeightTable } from '../../runtime/index.ts';
import { DualrealError } from '../../tensor/errors.ts';
import { maxAbsDifference } from '../../tensor/host-tensor.ts';

const CANONICAL = 'shared.weight';
const TIED = 'encoder.embed_tokens.weight';

/**
 * The table with its embedding under one name. Checkpoints hold it as `shared.weight`, as
 * `encoder.embed_tokens.weight`, or under both names; upstream ties the two. Copies that differ are refused
 * (where they are in memory: two regions of a file are not read for this).
 */
export function untieT5Weights(table: WeightTable): WeightTable {
  const [shared, tied] = [table.get(CANONICAL), table.get(TIED)];
  if (!tied) return table;
  if (shared && 'data' in shared && 'data' in tied && maxAbsDifference(shared, tied) !== 0) {
    throw new DualrealError({
      where: `text encoder weights ${CANONICAL} and ${TIED}`,
      expected: 'one embedding table under two names',
      got: 'different values',
    });
  }
  const rest = [...table].filter(([name]) => name !== TIED);
  return new Map([...rest, [CANONICAL, shared ?? tied]]);
}
