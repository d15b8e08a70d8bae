import * as g from '../../graph/index.ts';
import { t5Encoder } from '../../models/t5/index.ts';
import { Parameters } from '../../nn/parameters.ts';
import type { Runtime } from '../../runtime/index.ts';
import { floats, hostTensor } from '../../tensor/host-tensor.ts';
import { createUniverse } from '../universe/universe.ts';
import { openClipEmbedders } from './clip-embedders.ts';
import { EMBEDDING_DIM, textConfig } from './configs.ts';
import { inputsOf } from './program-inputs.ts';
import { nearest, share, unitRows } from './retrieval.ts';
import type { TensorTable } from './task.ts';
import { pooledText } from './text.ts';
import { TEXT_TOKENS, t5TokenizerFiles, tokenizerOf } from './tokenizers.ts';

const CAPTIONS = 100;

export interface TextScore extends Readonly<Record<string, number>> {
  /** Share of captions whose pooled state is nearest to their own CLIP embedding, of 100. */
  readonly placeOfCaption: number;
}

/** Judges the text encoder (with its training head) on captions of triples that never enter pretraining. */
export async function openTextJudge(
  runtime: Runtime,
  cacheFolder: string,
  clipWeights: TensorTable,
): Promise<(weights: TensorTable) => Promise<TextScore>> {
  const scope = new Parameters(() => true).root;
  const states = t5Encoder(textConfig(), scope, { ids: g.input('ids', [CAPTIONS, TEXT_TOKENS], 'i64') });
  const features = pooledText(scope, states, g.input('pooling', [CAPTIONS, 1, TEXT_TOKENS]));
  const encoder = await runtime.compile(g.program('text-places', { features }));
  const { texts } = (await openClipEmbedders(runtime))(clipWeights);
  const universe = createUniverse({ seed: 1, split: 'combinations', frames: 9, stage: 2, cacheFolder });
  const captions = Array.from({ length: CAPTIONS }, (_, i) => universe.describe(i).caption);
  const targets = await texts(captions);
  const tokenizer = tokenizerOf(t5TokenizerFiles(), 'T5');
  const ids = new BigInt64Array(CAPTIONS * TEXT_TOKENS);
  const pooling = new Float32Array(CAPTIONS * TEXT_TOKENS);
  for (const [i, caption] of captions.entries()) {
    const encoded = tokenizer.encode(caption, TEXT_TOKENS);
    ids.set(encoded.ids.data, i * TEXT_TOKENS);
    pooling.fill(1 / encoded.usedTokens, i * TEXT_TOKENS, i * TEXT_TOKENS + encoded.usedTokens);
  }
  const inputs = {
    ids: hostTensor('i64', [CAPTIONS, TEXT_TOKENS], ids),
    pooling: floats([CAPTIONS, 1, TEXT_TOKENS], pooling),
  };
  return async (weights) => {
    const output = await encoder.run({ ...inputsOf(encoder.program, weights), ...inputs });
    const rows = unitRows(output.features.data as Float32Array, EMBEDDING_DIM);
    const found = nearest(rows, targets, EMBEDDING_DIM);
    return { placeOfCaption: share(found.map((at, i) => captions[at] === captions[i])) };
  };
}
