import { createTextTokenizer, type TextTokenizer } from '../../models/tokenizer/index.ts';
import { captionVocabulary } from '../universe/captions.ts';

/** Longest text of the toy base in tokens, special ones included: captions take at most 17. */
export const TEXT_TOKENS = 24;

/** The two files that a tokenizer folder holds. */
export interface TokenizerFiles {
  readonly json: Readonly<Record<string, unknown>>;
  readonly config: Readonly<Record<string, unknown>>;
}

interface Special {
  readonly id: number;
  readonly content: string;
}

/** Stands where a word was hidden (T5's first sentinel). */
export const MASK_TOKEN = '<extra_id_0>';

/**
 * What is no word of the vocabulary is spelled, letter by letter: the scores make a whole word always
 * cheaper than its letters.
 */
const WORD_SCORE = -8;
const LETTER_SCORE = -20;
const LETTERS = [...'abcdefghijklmnopqrstuvwxyz0123456789-'];

/** Pieces of the closed caption vocabulary, as SentencePiece writes them ("▁" starts a word). */
function wordPieces(): [piece: string, score: number][] {
  const words = captionVocabulary().map((word): [string, number] => [`▁${word}`, WORD_SCORE]);
  const known = new Set(words.map(([piece]) => piece));
  const letters = ['▁', ...LETTERS].map((piece): [string, number] => [piece, LETTER_SCORE]);
  return [...words, ...letters.filter(([piece]) => !known.has(piece))];
}

function tokenizerJson(
  vocabulary: readonly (readonly [string, number])[],
  special: readonly Special[],
  unknownId: number,
  single: readonly object[],
): Record<string, unknown> {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always' };
  return {
    version: '1.0',
    added_tokens: special.map((token) => ({ ...token, ...flags })),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Lowercase' },
        { type: 'Replace', pattern: { Regex: '[^a-z0-9-]+' }, content: ' ' },
        { type: 'Strip', strip_left: true, strip_right: true },
      ],
    },
    pre_tokenizer: metaspace,
    post_processor: { type: 'TemplateProcessing', single, pair: [...single, ...single] },
    decoder: metaspace,
    model: { type: 'Unigram', unk_id: unknownId, vocab: vocabulary },
  };
}

const text = { Sequence: { id: 'A', type_id: 0 } };
const token = (id: string) => ({ SpecialToken: { id, type_id: 0 } });

/** Of the text encoder: ids of T5 (pad 0, end 1, unknown 2), the words, one sentinel. */
export function t5TokenizerFiles(): TokenizerFiles {
  const first = ['<pad>', '</s>', '<unk>'];
  const vocabulary = [
    ...first.map((piece): [string, number] => [piece, 0]),
    ...wordPieces(),
    [MASK_TOKEN, 0] as const,
  ];
  const special = [
    ...first.map((content, id) => ({ id, content })),
    { id: vocabulary.length - 1, content: MASK_TOKEN },
  ];
  return {
    json: tokenizerJson(vocabulary, special, 2, [text, token('</s>')]),
    config: {
      tokenizer_class: 'T5TokenizerFast',
      pad_token: '<pad>',
      eos_token: '</s>',
      unk_token: '<unk>',
      extra_ids: 1,
      additional_special_tokens: [MASK_TOKEN],
      model_max_length: TEXT_TOKENS,
    },
  };
}

/** Of CLIP: the end token has the highest id, which is how the text tower finds it. */
export function clipTokenizerFiles(): TokenizerFiles {
  const words = wordPieces();
  const ends = ['<|startoftext|>', '<|endoftext|>'] as const;
  const vocabulary = [['<unk>', 0] as const, ...words, ...ends.map((piece): [string, number] => [piece, 0])];
  const special = [
    { id: 0, content: '<unk>' },
    ...ends.map((content, i) => ({ id: words.length + 1 + i, content })),
  ];
  return {
    json: tokenizerJson(vocabulary, special, 0, [token(ends[0]), text, token(ends[1])]),
    config: {
      tokenizer_class: 'CLIPTokenizerFast',
      pad_token: ends[1],
      bos_token: ends[0],
      eos_token: ends[1],
      unk_token: '<unk>',
      model_max_length: TEXT_TOKENS,
    },
  };
}

export function tokenizerOf({ json, config }: TokenizerFiles, where: string): TextTokenizer {
  return createTextTokenizer({ json, config, padToken: String(config.pad_token), where });
}
