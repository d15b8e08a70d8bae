import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import type { BlockSite, TransformerHooks } from '../../models/cogvideox/transformer/index.ts';
import type { MotionBoothOptions } from './options.ts';

/** Keeps logarithms and their gradients finite where attention vanishes; 1 + it is an f32. */
const EPSILON = 2 ** -23;

/**
 * How much each video token attends to the subject's words: softmax(q·kᵀ/√d) of the video's queries, averaged
 * over the marked text tokens and the heads, [B, N]. q and k are [B, H, S + N, d], `marked` is [B, S]. Only
 * that block's column sums are computed: attention with the marks as its values.
 */
export function subjectAttention(
  q: Value,
  k: Value,
  marked: Value,
  over: MotionBoothOptions['attentionOver'],
): Value {
  const [batch, heads, tokens] = q.shape;
  const textTokens = marked.shape[1];
  const videoQueries = g.slice(q, 2, textTokens, tokens);
  const share = g.div(marked, g.maximum(g.sum(marked, [1], true), 1)); // [B, S], each row adds up to 1
  const keys = over === 'text' ? g.slice(k, 2, 0, textTokens) : k;
  const keyCount = keys.shape[2];
  const values = keyCount > textTokens ? g.pad(share, 1, 0, keyCount - textTokens) : share;
  const perHead = g.expand(g.reshape(values, [batch, 1, keyCount, 1]), [batch, heads, keyCount, 1]);
  const attended = g.attention(videoQueries, keys, perHead); // [B, H, N, 1]
  return g.reshape(g.mean(attended, [1]), [batch, tokens - textTokens]); // [B, N]
}

/** Binary cross-entropy of attention [B, N] in (0, 1) against a mask [B, N], averaged over all tokens. */
export function attentionLoss(attention: Value, mask: Value): Value {
  const inside = g.mul(mask, g.log(g.add(attention, EPSILON)));
  const outside = g.mul(g.sub(1, mask), g.log(g.sub(1 + EPSILON, attention)));
  return g.neg(g.mean(g.add(inside, outside)));
}

/** A mask [B, f, 1, h, w] on the grid of video tokens: the mean of each patch, [B, N]. */
export function tokenMask(mask: Value, patch: number): Value {
  const [batch, frames, , height, width] = mask.shape;
  const [rows, columns] = [height / patch, width / patch];
  const patches = g.reshape(mask, [batch, frames, rows, patch, columns, patch]);
  return g.reshape(g.mean(patches, [3, 5]), [batch, frames * rows * columns]);
}

/** Hooks that record {@link subjectAttention} at some depths, and its mean over them once traced. */
export function recordAttention(
  blocks: number,
  marked: Value,
  { attentionDepths, attentionOver }: MotionBoothOptions,
): { readonly hooks: TransformerHooks; mean(): Value } {
  const chosen = new Set(attentionDepths.map((depth) => Math.floor(depth * blocks)));
  const recorded: Value[] = [];
  return {
    hooks: {
      onAttention: ({ block }: BlockSite, q, k) => {
        if (chosen.has(block)) recorded.push(subjectAttention(q, k, marked, attentionOver));
      },
    },
    mean: () =>
      g.div(
        recorded.reduce((sum, each) => g.add(sum, each)),
        recorded.length,
      ),
  };
}
