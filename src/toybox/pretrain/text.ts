import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import { clipTextFeatures } from '../../models/clip/index.ts';
import { unitLength } from '../../models/contrast.ts';
import { t5Encoder } from '../../models/t5/index.ts';
import { linear } from '../../nn/layers.ts';
import { Parameters } from '../../nn/parameters.ts';
import { floats, hostTensor } from '../../tensor/host-tensor.ts';
import { randomStream } from '../../tensor/random.ts';
import { createUniverse } from '../universe/universe.ts';
import { clipConfig, EMBEDDING_DIM, TEXT_RECIPE, textConfig } from './configs.ts';
import { crossEntropy, pairAccuracy, pairLoss } from './contrastive.ts';
import { gradientProgram } from './gradient-program.ts';
import { initialParameters } from './initialize.ts';
import type { Batcher, BatchRequest, PretrainingTask, TensorTable } from './task.ts';
import { openTextJudge } from './text-judge.ts';
import { clipTokenizerFiles, TEXT_TOKENS, t5TokenizerFiles, tokenizerOf } from './tokenizers.ts';

/** Words hidden in a caption. */
const HIDDEN = 2;
/** Cosines are divided by this before they are told apart. */
const TEMPERATURE = 0.07;
/** Parameters that serve the objective only. */
const HEAD = 'head';

export const isTextHead = (name: string): boolean => name.startsWith(`${HEAD}.`);

/**
 * Captions for both objectives: in the first half of the batch two words of each are hidden, the second
 * half is whole.
 */
export function textBatcher({ seed, cacheFolder, batch = TEXT_RECIPE.batch }: BatchRequest): Batcher {
  const settings = { seed, split: 'pretraining', stage: TEXT_RECIPE.stage, cacheFolder } as const;
  const universes = [1, 9].map((frames) => createUniverse({ ...settings, frames }));
  const t5 = tokenizerOf(t5TokenizerFiles(), 'T5');
  const clip = tokenizerOf(clipTokenizerFiles(), 'CLIP');
  const mask = BigInt(t5.idLimit - 1);
  const half = batch / 2;
  return (step) => {
    const ids = new BigInt64Array(batch * TEXT_TOKENS);
    const clipIds = new BigInt64Array(half * TEXT_TOKENS);
    const pooling = new Float32Array(half * TEXT_TOKENS);
    const hidden = new Float32Array(half * HIDDEN * TEXT_TOKENS);
    const words = new Float32Array(half * HIDDEN * t5.idLimit);
    for (let b = 0; b < batch; b++) {
      const { caption } = universes[b % 2].describe(step * batch + b);
      const encoded = t5.encode(caption, TEXT_TOKENS);
      ids.set(encoded.ids.data, b * TEXT_TOKENS);
      const wordCount = encoded.usedTokens - 1;
      if (b < half) {
        const order = randomStream(seed, 'hidden', step, b).permutation(wordCount);
        for (let k = 0; k < HIDDEN; k++) {
          const row = b * HIDDEN + k;
          hidden[row * TEXT_TOKENS + order[k]] = 1;
          words[row * t5.idLimit + Number(encoded.ids.data[order[k]])] = 1;
          ids[b * TEXT_TOKENS + order[k]] = mask;
        }
      } else {
        const row = b - half;
        pooling.fill(1 / encoded.usedTokens, row * TEXT_TOKENS, row * TEXT_TOKENS + encoded.usedTokens);
        clipIds.set(clip.encode(caption, TEXT_TOKENS).ids.data, row * TEXT_TOKENS);
      }
    }
    return {
      ids: hostTensor('i64', [batch, TEXT_TOKENS], ids),
      clipIds: hostTensor('i64', [half, TEXT_TOKENS], clipIds),
      pooling: floats([half, 1, TEXT_TOKENS], pooling),
      hidden: floats([half, HIDDEN, TEXT_TOKENS], hidden),
      words: floats([half * HIDDEN, t5.idLimit], words),
    };
  };
}

/** States weighted over their tokens, in CLIP's space: states [B, S, D], pooling [B, 1, S] → [B, E]. */
export function pooledText(scope: Parameters['root'], states: Value, pooling: Value): Value {
  const [batch, , width] = states.shape;
  const pooled = g.reshape(g.matmul(pooling, states), [batch, width]);
  return linear(scope.at(HEAD), pooled, EMBEDDING_DIM);
}

/**
 * The text encoder learns to guess hidden words, which gives every token its context, and to give each
 * caption the place that it has among others in CLIP's space, which ties words to what they look like.
 * Both cost a hundredth of training it inside the video model, where it is then frozen. As in CogVideoX
 * padding is not masked.
 */
export function textTask(
  { cacheFolder, batch = TEXT_RECIPE.batch }: BatchRequest,
  clipWeights: TensorTable,
): PretrainingTask {
  const config = textConfig();
  const half = batch / 2;
  const parameters = new Parameters(() => true);
  const scope = parameters.root;
  const states = t5Encoder(config, scope, { ids: g.input('ids', [batch, TEXT_TOKENS], 'i64') });
  const [guessing, whole] = g.chunk(states, 0, 2); // [B/2, S, D]

  const hidden = g.matmul(g.input('hidden', [half, HIDDEN, TEXT_TOKENS]), guessing);
  const flat = g.reshape(hidden, [half * HIDDEN, config.width]);
  const table = scope.at('shared').get('weight', [config.vocabulary, config.width]);
  const scores = g.mul(g.linear(flat, table), 1 / Math.sqrt(config.width)); // [B/2 · 2, V]
  const guess = crossEntropy(scores, g.input('words', scores.shape));

  const target = clipTextFeatures(clipConfig(), new Parameters().root, {
    ids: g.input('clipIds', [half, TEXT_TOKENS], 'i64'),
  });
  const own = pooledText(scope, whole, g.input('pooling', [half, 1, TEXT_TOKENS]));
  const cosines = g.matmul(unitLength(own), unitLength(target), { transposeB: true });
  const places = g.mul(cosines, 1 / TEMPERATURE);
  const match = pairLoss(places);

  return {
    recipe: { ...TEXT_RECIPE, batch },
    program: gradientProgram('pretrain-text', parameters, {
      loss: g.add(guess, match),
      guess,
      match,
      accuracy: pairAccuracy(places),
    }),
    trainable: parameters.declared,
    frozen: clipWeights,
    fixed: new Map(),
    carried: () => new Map(),
    initialize: (seed) =>
      initialParameters(parameters.declared, seed, [
        [/^shared\./, { std: 1 }],
        [/relative_attention_bias/, { std: 0.1 }],
        // Scores are not divided by √d, so that the queries start smaller.
        [/SelfAttention\.q\.weight$/, { std: 1 / Math.sqrt(config.width * config.headDim) }],
        [/(SelfAttention\.o|wo)\.weight$/, { std: 0.5 / Math.sqrt(2 * config.blocks * config.width) }],
      ]),
    openReview: async (runtime) => {
      const judge = await openTextJudge(runtime, cacheFolder, clipWeights);
      return async (weights) => ({ numbers: await judge(weights), sheets: [] });
    },
  };
}
