import * as g from '../graph/index.ts';
import { Parameters } from '../nn/parameters.ts';
import { requireWeights } from '../runtime/index.ts';
import { DualrealError } from '../tensor/errors.ts';
import type { BatchedProgramOptions } from './batched-program.ts';
import type { EncoderFamily } from './encoder-family.ts';
import type { TextTokenizer } from './tokenizer/index.ts';

export interface EncoderSource extends BatchedProgramOptions {
  /** Parsed config.json; its fields tell which family of models it is. */
  readonly config: unknown;
  /** Names the checkpoint in errors. */
  readonly where?: string;
}

/** Every tensor of one tower must be there; beside it only the other tower's tensors may be. */
export function requireTower(
  family: EncoderFamily,
  tower: 'image' | 'text',
  { weights, where }: EncoderSource,
): void {
  const { imageSide, text } = family;
  const traced = (which: 'image' | 'text') => {
    const parameters = new Parameters();
    if (which === 'image') {
      family.imageFeatures(parameters.root, g.input('pixels', [1, 3, imageSide, imageSide]));
    } else text?.features(parameters.root, g.input('ids', [1, text.tokens], 'i64'));
    return parameters.declared;
  };
  const other = traced(tower === 'image' ? 'text' : 'image');
  const isExpected = (name: string) => other.has(name) || family.isBuffer(name);
  requireWeights(where ?? `${family.name} weights`, traced(tower), weights, isExpected);
}

/** Refuses a tokenizer that can give ids beyond the model's embedding table. */
export function requireVocabulary(
  tokenizer: TextTokenizer,
  vocabulary: number,
  where = 'text encoder',
): void {
  if (tokenizer.idLimit <= vocabulary) return;
  throw new DualrealError({
    where,
    expected: `a tokenizer with ids below ${vocabulary}, the size of the model's vocabulary`,
    got: `ids up to ${tokenizer.idLimit - 1}`,
    hint: 'the tokenizer belongs to another model',
  });
}
