import type { Value } from '../../../graph/index.ts';

/** Where in the model a hook is called. */
export interface BlockSite {
  readonly block: number;
  /** Text tokens S; they come first in every token tensor. */
  readonly textTokens: number;
}

/**
 * The seam through which methods change the model without the model knowing of them. Token tensors are
 * [B, S + N, D].
 */
export interface TransformerHooks {
  /** The embedded tokens and the time embedding [B, E], once, before block 0. */
  beforeBlocks?(tokens: Value, timeEmbedding: Value): void;
  /** Attention output before its gate, and the modulated input that attention saw. */
  afterAttention?(site: BlockSite, output: Value, normalized: Value): Value;
  /** Feed-forward output before its gate, and the modulated input that it saw. */
  afterFeedForward?(site: BlockSite, output: Value, normalized: Value): Value;
  /** The block's output, and its input. */
  afterBlock?(site: BlockSite, output: Value, input: Value): Value;
  /** Queries and keys [B, H, S + N, d] as attention compares them: normalised and rotated. */
  onAttention?(site: BlockSite, q: Value, k: Value): void;
  /** Result of a linear layer of attention (`attn1.to_q`, …, `attn1.to_out.0`), and its input. */
  afterProjection?(path: string, output: Value, operand: Value): Value;
}

/** Called with intermediate values under the names the reference tensors use. */
export type Probe = (name: string, value: Value) => void;
