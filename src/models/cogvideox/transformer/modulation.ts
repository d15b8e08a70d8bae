import type { Value } from '../../../graph/index.ts';
import * as g from '../../../graph/index.ts';
import { floats } from '../../../tensor/host-tensor.ts';

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** Fewer tokens than this to a group, and the factors would be nearly as large as the tokens. */
const SMALLEST_GROUP = 4;

/**
 * Per-sample factors that differ between text and video tokens. Where S and N allow it they are applied
 * without splitting the token tensor: tokens are seen as groups of g = gcd(S, N), each wholly text or
 * wholly video, and one factor row per group is broadcast over them. Otherwise the streams are split and
 * joined again. R, the rows of a factor, is T/g or 2 accordingly.
 */
export class StreamFactors {
  private readonly tokens: { readonly text: number; readonly video: number };
  /** Groups of tokens; undefined where the streams are split. */
  private readonly groups: number | undefined;
  /** [R, 2]: which of the streams (video, text) a row belongs to, as ones and zeros. */
  private readonly membership: Value;

  constructor(text: number, video: number) {
    this.tokens = { text, video };
    const groupSize = greatestCommonDivisor(text, video);
    this.groups = groupSize < SMALLEST_GROUP ? undefined : (text + video) / groupSize;
    const rows = this.groups ?? 2;
    const textRows = this.groups ? text / groupSize : 1;
    const members = Array.from({ length: rows }, (_, row) => (row < textRows ? [0, 1] : [1, 0]));
    this.membership = g.constant(floats([rows, 2], members.flat()));
  }

  /** K factors of each stream, [B, 2·K·D] with those of video first → K values [B, R, 1, D]. */
  spread(factors: Value, count: number): readonly Value[] {
    const [batch, width] = factors.shape;
    const perRow = g.matmul(this.membership, g.reshape(factors, [batch, 2, width / 2])); // [B, R, K·D]
    return g.chunk(g.reshape(perRow, [batch, -1, count, width / (2 * count)]), 2, count);
  }

  /** x·factor (+ offset) with the rows of each token's stream: [B, T, D] → [B, T, D]. */
  apply(x: Value, factor: Value, offset?: Value): Value {
    const [batch, tokens, width] = x.shape;
    const scaled = (part: Value, by: Value, plus?: Value) =>
      plus ? g.add(g.mul(part, by), plus) : g.mul(part, by);
    if (this.groups) {
      const grouped = g.reshape(x, [batch, this.groups, tokens / this.groups, width]); // [B, T/g, g, D]
      return g.reshape(scaled(grouped, factor, offset), x.shape);
    }
    const parts = g.split(x, 1, [this.tokens.text, this.tokens.video]);
    const rows = (value: Value) => g.chunk(g.reshape(value, [batch, 2, width]), 1, 2); // [B, 1, D] each
    const [factors, offsets] = [rows(factor), offset && rows(offset)];
    return g.concat(
      parts.map((part, i) => scaled(part, factors[i], offsets?.[i])),
      1,
    );
  }
}
