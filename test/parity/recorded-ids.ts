import type { TextTokenizer } from '../../src/models/tokenizer/index.ts';
import { type HostTensor, hostTensor } from '../../src/tensor/host-tensor.ts';

/** Stands in where a reference folder has ids but no texts; spread it and give `encode`. */
export const noTokenizer: Omit<TextTokenizer, 'encode'> = {
  padId: 0,
  idLimit: 1,
  count: () => 1,
  words: () => [],
};

/** One row of i64 [B, S] as [1, S]. */
export function rowOf(ids: HostTensor, row: number): HostTensor<'i64'> {
  const tokens = ids.shape[1];
  const data = ids.data.slice(row * tokens, (row + 1) * tokens) as BigInt64Array<ArrayBuffer>;
  return hostTensor('i64', [1, tokens], data);
}
