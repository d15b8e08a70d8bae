import type { Value } from '../graph/index.ts';
import * as g from '../graph/index.ts';
import { DualrealError } from '../tensor/errors.ts';
import type { BatchShape } from './objective.ts';

/** A caption that does not name the subject. */
export class SubjectWordError extends DualrealError {}

/** Input `subjectTokens` [B, S]: ones where a caption names the subject. */
export function subjectTokensInput({ batch, textTokens }: BatchShape): Value {
  return g.input('subjectTokens', [batch, textTokens]);
}

/** text [B, S, E] with `vector` [E] in place of the marked tokens [B, S]. */
export function substituteToken(text: Value, marked: Value, vector: Value): Value {
  const [batch, tokens, width] = text.shape;
  const at = g.reshape(marked, [batch, tokens, 1]);
  return g.add(g.mul(text, g.sub(1, at)), g.mul(at, g.reshape(vector, [1, 1, width])));
}

/**
 * A row of `subjectTokens` [S]: ones at every occurrence of `phrase` in a caption. Both are token ids without
 * special tokens; the caption's are padded to S. Throws {@link SubjectWordError} where it does not occur.
 */
export function markPhrase(caption: readonly number[], phrase: readonly number[]): Float32Array {
  const row = new Float32Array(caption.length);
  for (let start = 0; start + phrase.length <= caption.length; start++) {
    if (phrase.every((id, i) => caption[start + i] === id)) row.fill(1, start, start + phrase.length);
  }
  if (phrase.length > 0 && row.includes(1)) return row;
  throw new SubjectWordError({
    where: 'caption',
    expected: 'the word that stands for the subject',
    got: 'a caption without it',
    hint: 'name the subject by the same word in every caption of its photos',
  });
}
