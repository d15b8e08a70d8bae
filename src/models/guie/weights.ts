import type { WeightTable } from '../../runtime/index.ts';

const WRAPPER = 'module.';

/** A checkpoint's table under this model's names: without the prefix that DataParallel puts before every name. */
export function plainGuieWeights(table: WeightTable): WeightTable {
  const wrapped = [...table.keys()].every((name) => name.startsWith(WRAPPER));
  return wrapped ? new Map([...table].map(([name, tensor]) => [name.slice(WRAPPER.length), tensor])) : table;
}

/** The margin head, which only training uses. */
export function isGuieTrainingHead(name: string): boolean {
  return name === 'fc2.weight';
}
