import * as g from '../graph/index.ts';
import { Parameters } from '../nn/parameters.ts';
import type { Runtime } from '../runtime/index.ts';
import { DualrealError } from '../tensor/errors.ts';
import { type FloatTensor, type HostTensor, hostTensor } from '../tensor/host-tensor.ts';
import { BatchedProgram, type EncodeOptions } from './batched-program.ts';
import { encoderFamily } from './encoder-family.ts';
import { type EncoderSource, requireTower, requireVocabulary } from './encoder-source.ts';
import type { TextTokenizer, TokenizedText } from './tokenizer/index.ts';

/** Texts to embeddings in the space of the image encoder of the same checkpoint (for CLIP-T). */
export interface ContrastiveTextEncoder {
  /** E. */
  readonly embeddingDim: number;
  /** Tokens of the longest text, special ones included. */
  readonly tokens: number;
  /** Embeddings [B, E], not normalised, and how each text was tokenised. */
  encode(texts: readonly string[], options?: EncodeOptions): Promise<EncodedTexts>;
  release(): Promise<void>;
}

export interface EncodedTexts {
  readonly embeddings: FloatTensor;
  readonly tokenized: readonly TokenizedText[];
}

/** The text tower of CLIP (transformers or open_clip layout); the image tower may be absent from the table. */
export function createContrastiveTextEncoder(
  runtime: Runtime,
  source: EncoderSource & { readonly tokenizer: TextTokenizer },
): ContrastiveTextEncoder {
  const family = encoderFamily(source.config, source.where);
  const { text } = family;
  if (!text) {
    throw new DualrealError({
      where: source.where ?? family.name,
      expected: 'a model with a text tower',
      got: family.name,
    });
  }
  requireVocabulary(source.tokenizer, text.vocabulary, source.where);
  requireTower(family, 'text', source);
  const program = new BatchedProgram(
    runtime,
    ({ ids }) => {
      const scope = new Parameters().root;
      return g.program(`${family.name} texts`, {
        embeddings: text.features(scope, g.input('ids', ids, 'i64')),
      });
    },
    source,
  );
  return {
    embeddingDim: family.embeddingDim,
    tokens: text.tokens,
    encode: async (texts, options) => {
      const tokenized = texts.map((line) => source.tokenizer.encode(line, text.tokens));
      const embeddings = await program.run({ ids: stacked(tokenized.map(({ ids }) => ids)) }, options);
      return { embeddings, tokenized };
    },
    release: () => program.release(),
  };
}

/** [1, S] each → [B, S]. */
function stacked(rows: readonly HostTensor<'i64'>[]): HostTensor<'i64'> {
  const tokens = rows[0].shape[1];
  const data = new BigInt64Array(rows.length * tokens);
  for (const [i, row] of rows.entries()) data.set(row.data, i * tokens);
  return hostTensor('i64', [rows.length, tokens], data);
}
