import { Tokenizer } from '@huggingface/tokenizers';
import { DualrealError, FileFormatError } from '../../tensor/errors.ts';
import { type HostTensor, integers } from '../../tensor/host-tensor.ts';

/** A text as the fixed number of ids a text encoder takes. */
export interface TokenizedText {
  /** i64 [1, S], padded at the end. */
  readonly ids: HostTensor<'i64'>;
  /** Ids before the padding, special tokens included. */
  readonly usedTokens: number;
  /** What did not fit: how many tokens, and the text they stand for. Undefined where all fitted. */
  readonly cut: { readonly tokens: number; readonly text: string } | undefined;
}

/** Turns text into ids. */
export interface TextTokenizer {
  readonly padId: number;
  /** One more than the highest id it can give. */
  readonly idLimit: number;
  /** Ids padded or truncated to exactly `tokens`; special tokens are kept when the text is truncated. */
  encode(text: string, tokens: number): TokenizedText;
  /** Ids that the whole text takes, special tokens included. */
  count(text: string): number;
  /** Ids of the whole text without special tokens. */
  words(text: string): readonly number[];
}

export interface TokenizerParts {
  /** Parsed tokenizer.json. */
  readonly json: unknown;
  /** Parsed tokenizer_config.json. */
  readonly config: unknown;
  /** The token that fills up short texts. */
  readonly padToken: string;
  /** Applied to the text before everything else. */
  readonly normalize?: (text: string) => string;
  /** Names the files in errors. */
  readonly where: string;
}

/**
 * A tokenizer from the contents of its files, run by @huggingface/tokenizers. That library's `Precompiled`
 * normaliser (T5's in tokenizer.json form) is NFKC with exceptions, which equals SentencePiece's for ordinary
 * text and may differ for rare characters.
 */
export function createTextTokenizer(parts: TokenizerParts): TextTokenizer {
  const tokenizer = openTokenizer(parts);
  const normalize = parts.normalize ?? ((text: string) => text);
  const padId = tokenizer.token_to_id(parts.padToken);
  if (padId === undefined) {
    throw new FileFormatError({
      where: parts.where,
      expected: `a vocabulary with the padding token ${parts.padToken}`,
      got: 'one without',
    });
  }
  const idsOf = (text: string, add_special_tokens: boolean) =>
    tokenizer.encode(text, { add_special_tokens }).ids;
  return {
    padId,
    idLimit: highestId(tokenizer) + 1,
    count: (text) => idsOf(normalize(text), true).length,
    words: (text) => idsOf(normalize(text), false),
    encode: (text, tokens) => {
      const normalized = normalize(text);
      const whole = idsOf(normalized, true);
      if (whole.length <= tokens) {
        return { ids: padded(whole, tokens, padId), usedTokens: whole.length, cut: undefined };
      }
      const content = idsOf(normalized, false);
      const prefix = prefixLength(whole, content, parts.where);
      const special = whole.length - content.length;
      const room = tokens - special;
      if (room < 0) {
        throw new DualrealError({
          where: 'tokenizer',
          expected: `room for at least ${special} tokens`,
          got: `${tokens}`,
        });
      }
      const kept = [
        ...whole.slice(0, prefix),
        ...content.slice(0, room),
        ...whole.slice(prefix + content.length),
      ];
      const rest = content.slice(room);
      return {
        ids: padded(kept, tokens, padId),
        usedTokens: tokens,
        cut: { tokens: rest.length, text: tokenizer.decode(rest).trim() },
      };
    },
  };
}

function openTokenizer({ json, config, where }: TokenizerParts): Tokenizer {
  try {
    return new Tokenizer(json as object, config as object);
  } catch (cause) {
    throw new FileFormatError({
      where,
      expected: 'a tokenizer that @huggingface/tokenizers can read',
      got: cause instanceof Error ? cause.message : 'something else',
      cause,
    });
  }
}

function highestId(tokenizer: Tokenizer): number {
  let highest = -1;
  for (const id of tokenizer.get_vocab().values()) if (id > highest) highest = id;
  return highest;
}

/** How many special tokens stand before the text. */
function prefixLength(whole: readonly number[], content: readonly number[], where: string): number {
  for (let start = 0; start <= whole.length - content.length; start++) {
    if (content.every((id, i) => whole[start + i] === id)) return start;
  }
  throw new FileFormatError({
    where,
    expected: 'special tokens around the text only',
    got: 'a post-processor that changes the text',
  });
}

function padded(ids: readonly number[], tokens: number, padId: number): HostTensor<'i64'> {
  return integers([1, tokens], [...ids, ...new Array<number>(tokens - ids.length).fill(padId)]);
}
