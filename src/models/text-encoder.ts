import * as g from '../graph/index.ts';
import { Parameters } from '../nn/parameters.ts';
import { type Runtime, requireWeights, type WeightTable } from '../runtime/index.ts';
import type { FloatTensor } from '../tensor/host-tensor.ts';
import { BatchedProgram, type EncodeOptions } from './batched-program.ts';
import { requireVocabulary } from './encoder-source.ts';
import { parseT5Config, t5Encoder, untieT5Weights } from './t5/index.ts';
import type { TextTokenizer, TokenizedText } from './tokenizer/index.ts';

/** A caption as the diffusion transformer takes it. */
export interface EncodedText {
  /** f32 [1, S, D], padding included. */
  readonly embedding: FloatTensor;
  readonly tokenized: TokenizedText;
}

/** Captions to the diffusion transformer's text embeddings. */
export interface TextEncoder {
  /** D. */
  readonly width: number;
  /** S: every text is padded or truncated to it. */
  readonly tokens: number;
  encode(text: string, options?: EncodeOptions): Promise<EncodedText>;
  release(): Promise<void>;
}

export interface TextEncoderSource {
  /** Parsed text_encoder/config.json. */
  readonly config: unknown;
  readonly weights: WeightTable;
  readonly tokenizer: TextTokenizer;
  /** S: the transformer's text length, 226 for CogVideoX. */
  readonly tokens: number;
  /** Whether weights may be copied for speed or stay in their file's memory map; default 'fold'. */
  readonly residence?: 'fold' | 'mapped';
  /** Names the checkpoint in errors. */
  readonly where?: string;
}

/** T5 as CogVideoX uses it: padded to a fixed length, and padding attended to like any token. */
export function createTextEncoder(runtime: Runtime, source: TextEncoderSource): TextEncoder {
  const { tokenizer, tokens, where } = source;
  const config = parseT5Config(source.config, where);
  const weights = untieT5Weights(source.weights);
  requireVocabulary(tokenizer, config.vocabulary, where);
  const parameters = new Parameters();
  const ids = g.input('ids', [1, tokens], 'i64');
  const traced = g.program('t5', { embedding: t5Encoder(config, parameters.root, { ids }) });
  requireWeights(where ?? 'text encoder weights', parameters.declared, weights);
  const program = new BatchedProgram(runtime, () => traced, {
    weights,
    maxBatch: 1,
    ...(source.residence && { residence: source.residence }),
  });
  return {
    width: config.width,
    tokens,
    encode: async (text, options) => {
      const tokenized = tokenizer.encode(text, tokens);
      return { embedding: await program.run({ ids: tokenized.ids }, options), tokenized };
    },
    release: () => program.release(),
  };
}
