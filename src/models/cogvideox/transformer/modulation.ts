import type { Value } from '../../../graph/index.ts';
import * as g from '../../../graph/index.ts';

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/**
 * Per-sample factors that differ between text and video tokens, applied without splitting the token
 * tensor: tokens are seen as groups of g = gcd(S, N), each wholly text or wholly video, and one factor
 * row per group is broadcast over them.
 */
export class StreamFactors {
  private readonly groupSize: number;
  private readonly textGroups: number;
  private readonly videoGroups: number;

  constructor(textTokens: number, videoTokens: number) {
    this.groupSize = greatestCommonDivisor(textTokens, videoTokens);
    this.textGroups = textTokens / this.groupSize;
    this.videoGroups = videoTokens / this.groupSize;
  }

  /** Rows [B, D] for text and video → [B, T/g, 1, D]. */
  spread(text: Value, video: Value): Value {
    const [batch, width] = text.shape;
    const repeat = (row: Value, groups: number) =>
      g.expand(g.reshape(row, [batch, 1, 1, width]), [batch, groups, 1, width]);
    return g.concat([repeat(text, this.textGroups), repeat(video, this.videoGroups)], 1);
  }

  /** x [B, T, D] → [B, T/g, g, D], ready to be multiplied with {@link spread} factors. */
  group(x: Value): Value {
    const [batch, , width] = x.shape;
    return g.reshape(x, [batch, this.textGroups + this.videoGroups, this.groupSize, width]);
  }

  /** [B, T/g, g, D] → [B, T, D]. */
  ungroup(x: Value): Value {
    const [batch, groups, size, width] = x.shape;
    return g.reshape(x, [batch, groups * size, width]);
  }
}
