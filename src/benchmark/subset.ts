import { randomStream } from '../tensor/random.ts';

/** One subject with one motion, as far as drawing is concerned. */
export interface Pair {
  readonly subject: string;
  readonly motion: string;
}

/**
 * `count` of the pairs (all, where there are fewer), in the order in which they should be done: subjects and motions
 * are used as evenly as the pairs allow, and a draw of fewer is the beginning of a draw of more. A pure function of
 * the pairs and the seed.
 *
 * Greedy: next comes the pair whose subject and motion have been used least, taken together; among equals the one
 * whose worse-off half has been used least; among those, by the seed.
 */
export function balancedDraw<T extends Pair>(pairs: readonly T[], count: number, seed: number): T[] {
  const left = randomStream(seed, 'benchmark', 'draw')
    .permutation(pairs.length)
    .map((at) => pairs[at]);
  const subjects = new Map<string, number>();
  const motions = new Map<string, number>();
  const drawn: T[] = [];
  while (drawn.length < count && left.length > 0) {
    const uses = ({ subject, motion }: Pair) => {
      const [s, m] = [subjects.get(subject) ?? 0, motions.get(motion) ?? 0];
      return (s + m) * (pairs.length + 1) + Math.max(s, m);
    };
    let best = 0;
    for (let i = 1; i < left.length; i++) if (uses(left[i]) < uses(left[best])) best = i;
    const [pair] = left.splice(best, 1);
    subjects.set(pair.subject, (subjects.get(pair.subject) ?? 0) + 1);
    motions.set(pair.motion, (motions.get(pair.motion) ?? 0) + 1);
    drawn.push(pair);
  }
  return drawn;
}
