import type { WeightTable } from '../../runtime/index.ts';

const WRAPPER = 'module.';

/**
 * A checkpoint's table under this model's names: without the prefix that DataParallel puts before every name,
 * without batch counters, and with one name for the norm of a shortcut, which upstream registers twice
 * (`norm3` is `downsample.1`; only strided blocks have it).
 */
export function plainRaftWeights(table: WeightTable): WeightTable {
  const wrapped = [...table.keys()].every((name) => name.startsWith(WRAPPER));
  const plain = [...table].map(
    ([name, tensor]) => [wrapped ? name.slice(WRAPPER.length) : name, tensor] as const,
  );
  const isAlias = (name: string) => /^cnet\.layer\d\.0\.norm3\./.test(name);
  return new Map(plain.filter(([name]) => !isAlias(name) && !name.endsWith('.num_batches_tracked')));
}
