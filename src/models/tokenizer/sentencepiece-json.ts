import type { SentencePieceModel } from './sentencepiece-model.ts';

/** A token that is found in the text as it is, outside the model's pieces. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
}

/**
 * A SentencePiece unigram model in the form of a tokenizer.json, for T5: the end token follows the text.
 * Normalisation is not part of it: text goes through sentencePieceNormalizer first.
 */
export function sentencePieceTokenizerJson(
  { pieces, unknownId, addDummyPrefix }: SentencePieceModel,
  endToken: string,
  addedTokens: readonly AddedToken[],
): Record<string, unknown> {
  // Control pieces match no text inside the model; as special tokens they are cut out before it.
  const special = [...pieces.entries()]
    .filter(([, piece]) => piece.kind !== 'normal')
    .map(([id, piece]) => ({ id, content: piece.text }));
  const known = new Set(special.map((token) => token.id));
  const added = [...special, ...addedTokens.filter((token) => !known.has(token.id))];
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const metaspace = {
    type: 'Metaspace',
    replacement: '▁',
    prepend_scheme: addDummyPrefix ? 'always' : 'never',
  };
  const sequence = (id: string) => ({ Sequence: { id, type_id: 0 } });
  const end = { SpecialToken: { id: endToken, type_id: 0 } };
  return {
    version: '1.0',
    added_tokens: added.map((token) => ({ ...token, ...flags })),
    normalizer: null,
    pre_tokenizer: metaspace,
    post_processor: {
      type: 'TemplateProcessing',
      single: [sequence('A'), end],
      pair: [sequence('A'), end, sequence('B'), end],
    },
    decoder: metaspace,
    model: {
      type: 'Unigram',
      unk_id: unknownId,
      vocab: pieces.map((piece) => [piece.text, piece.score]),
    },
  };
}
