import { describe, expect, it } from 'vitest';
import { randomStream } from '../tensor/random.ts';
import { balancedDraw, type Pair } from './subset.ts';

function grid(subjects: number, motions: number): Pair[] {
  return Array.from({ length: subjects * motions }, (_, i) => ({
    subject: `s${i % subjects}`,
    motion: `m${Math.floor(i / subjects)}`,
  }));
}

/** Most and fewest uses, of those that `all` names. */
function spread(drawn: readonly Pair[], all: readonly Pair[], key: keyof Pair): number {
  const counts = new Map(all.map((pair) => [pair[key], 0]));
  for (const pair of drawn) counts.set(pair[key], counts.get(pair[key])! + 1);
  return Math.max(...counts.values()) - Math.min(...counts.values());
}

describe('a balanced draw', () => {
  const random = randomStream(3, 'test');
  const trials = Array.from({ length: 60 }, (_, trial) => ({
    pairs: grid(1 + random.integer(9), 1 + random.integer(9)),
    seed: trial,
    share: random.uniform(),
  }));

  it('draws as many as asked, none twice, all of them at most', () => {
    for (const { pairs, seed, share } of trials) {
      const count = 1 + Math.floor(share * pairs.length * 1.3);
      const drawn = balancedDraw(pairs, count, seed);
      expect(drawn.length).toBe(Math.min(count, pairs.length));
      expect(new Set(drawn).size).toBe(drawn.length);
      for (const pair of drawn) expect(pairs).toContain(pair);
    }
  });

  it('a draw of fewer is the beginning of a draw of more', () => {
    for (const { pairs, seed, share } of trials) {
      const count = Math.ceil(share * pairs.length);
      expect(balancedDraw(pairs, count, seed)).toEqual(
        balancedDraw(pairs, pairs.length, seed).slice(0, count),
      );
    }
  });

  it('of a whole grid, uses every subject and motion equally often until each was used', () => {
    for (const { pairs, seed } of trials) {
      const rounds = Math.max(
        ...(['subject', 'motion'] as const).map((k) => new Set(pairs.map((p) => p[k])).size),
      );
      const order = balancedDraw(pairs, pairs.length, seed);
      for (let count = 1; count <= rounds; count++) {
        const drawn = order.slice(0, count);
        expect(spread(drawn, pairs, 'subject')).toBeLessThanOrEqual(1);
        expect(spread(drawn, pairs, 'motion')).toBeLessThanOrEqual(1);
      }
      for (let count = rounds; count <= pairs.length; count++) {
        const drawn = order.slice(0, count);
        expect(spread(drawn, pairs, 'subject') + spread(drawn, pairs, 'motion')).toBeLessThanOrEqual(4);
      }
    }
  });

  it('depends on the seed, and on nothing else', () => {
    const pairs = grid(7, 5);
    expect(balancedDraw(pairs, 9, 1)).toEqual(balancedDraw(pairs, 9, 1));
    expect(balancedDraw(pairs, 9, 1)).not.toEqual(balancedDraw(pairs, 9, 2));
  });

  it('uses the rarest halves of an uneven list first', () => {
    const pairs = [
      ...Array.from({ length: 8 }, (_, i) => ({ subject: 'often', motion: `m${i}` })),
      { subject: 'rare', motion: 'm0' },
    ];
    const subjects = balancedDraw(pairs, 2, 5).map(({ subject }) => subject);
    expect(subjects.sort()).toEqual(['often', 'rare']);
  });
});
