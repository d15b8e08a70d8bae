import { describe, expect, it } from 'vitest';
import { philoxBlock, randomStream } from './random.ts';

describe('philox4x32-10', () => {
  // Known answers published with the Random123 library (kat_vectors).
  it.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ])('counter %j key %j', (counter, key, expected) => {
    const out = new Uint32Array(4);
    philoxBlock(Uint32Array.from(counter), key[0], key[1], out);
    expect([...out]).toEqual(expected);
  });
});

describe('randomStream', () => {
  it('is a pure function of seed and path', () => {
    expect(randomStream(7, 'noise', 3).normals(5)).toEqual(randomStream(7, 'noise', 3).normals(5));
    expect(randomStream(7, 'noise', 3).bits()).not.toBe(randomStream(7, 'noise', 4).bits());
    expect(randomStream(7, 'noise', 3).bits()).not.toBe(randomStream(8, 'noise', 3).bits());
    expect(randomStream(7, 'ab').bits()).not.toBe(randomStream(7, 'a', 'b').bits());
    expect(randomStream(2 ** 40, 'a').bits()).not.toBe(randomStream(0, 'a').bits());
  });

  it('has the moments of its distributions', () => {
    const normals = randomStream(1, 'moments').normals(40_000);
    const mean = normals.reduce((sum, x) => sum + x, 0) / normals.length;
    const variance = normals.reduce((sum, x) => sum + (x - mean) ** 2, 0) / normals.length;
    expect(Math.abs(mean)).toBeLessThan(0.02);
    expect(Math.abs(variance - 1)).toBeLessThan(0.03);
    const stream = randomStream(2, 'integers');
    const counts = new Array<number>(6).fill(0);
    for (let i = 0; i < 12_000; i++) counts[stream.integer(6)]++;
    for (const count of counts) expect(Math.abs(count - 2000)).toBeLessThan(200);
  });

  it('permutes and refuses bad arguments', () => {
    expect(
      randomStream(3, 'p')
        .permutation(20)
        .sort((a, b) => a - b),
    ).toEqual([...Array(20).keys()]);
    expect(() => randomStream(1.5)).toThrow(RangeError);
    expect(() => randomStream(1).integer(0)).toThrow(RangeError);
  });
});
