import { describe, expect, it } from 'vitest';
import * as g from '../graph/index.ts';
import { floats, hostTensor } from '../tensor/host-tensor.ts';
import { randomStream } from '../tensor/random.ts';
import { regionLoss } from './region.ts';
import { latentMask, offsetNoise } from './step-inputs.ts';
import { markPhrase, SubjectWordError, substituteToken } from './subject-tokens.ts';
import { randomTensor, valuesOf } from './trial.cases.ts';

describe('the region loss by hand', () => {
  // One sample, one frame, two channels, 1×2 positions; the error is 1, 2 in channel 0 and 3, 4 in channel 1.
  const error = g.input('error', [1, 1, 2, 1, 2]);
  const mask = g.input('at', [1, 1, 1, 1, 2]);
  const at = async (divisor: 'elements' | 'positions', values: number[]) => {
    const inputs = { error: floats([1, 1, 2, 1, 2], [1, 2, 3, 4]), at: floats([1, 1, 1, 1, 2], values) };
    return (await valuesOf({ loss: regionLoss(error, mask, divisor) }, inputs)).loss.data[0];
  };

  it('divides by all elements', async () => {
    expect(await at('elements', [0, 1])).toBe((4 + 16) / 4);
    expect(await at('elements', [1, 1])).toBe(30 / 4);
  });

  it('divides by masked positions, not by their channels', async () => {
    expect(await at('positions', [0, 1])).toBe(4 + 16);
    expect(await at('positions', [1, 1])).toBe(30 / 2);
  });

  it('is zero for an empty mask', async () => {
    expect(await at('elements', [0, 0])).toBe(0);
    expect(await at('positions', [0, 0])).toBe(0);
  });
});

describe('the subject word', () => {
  it('takes the place of the marked tokens and of no others', async () => {
    const shape = [2, 3, 2];
    const text = g.input('text', shape);
    const vector = g.input('vector', [2]);
    const marked = g.input('marked', [2, 3]);
    const inputs = {
      text: floats(shape, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
      vector: floats([2], [-1, -2]),
      marked: floats([2, 3], [0, 1, 0, 1, 0, 1]),
    };
    const replaced = substituteToken(text, marked, vector);
    const [gradient] = g.gradients(g.sum(replaced), [vector]);
    const values = await valuesOf({ replaced, gradient: gradient! }, inputs);
    expect([...values.replaced.data]).toEqual([1, 2, -1, -2, 5, 6, -1, -2, 9, 10, -1, -2]);
    expect([...values.gradient.data]).toEqual([3, 3]);
  });

  it('is marked at every occurrence', () => {
    expect([...markPhrase([5, 7, 8, 1, 7, 8, 0, 0], [7, 8])]).toEqual([0, 1, 1, 0, 1, 1, 0, 0]);
    expect([...markPhrase([5, 7], [5])]).toEqual([1, 0]);
  });

  it('must be in the caption', () => {
    expect(() => markPhrase([1, 2, 3], [4])).toThrow(SubjectWordError);
    expect(() => markPhrase([1, 2, 3], [])).toThrow(SubjectWordError);
    expect(() => markPhrase([7], [7, 8])).toThrow(SubjectWordError);
  });
});

describe('noise offset', () => {
  it('adds one number to all positions of a frame and channel, of the stated strength', () => {
    const noise = randomTensor('noise', [2, 40, 8, 2, 3]);
    const { shape, data } = offsetNoise(noise, 0.1, randomStream(1, 'offset'));
    expect(shape).toEqual(noise.shape);
    const shifts = data.map((value, i) => value - noise.data[i]);
    let squares = 0;
    for (let plane = 0; plane < 640; plane++) {
      const first = shifts[plane * 6];
      squares += first * first;
      for (let i = 1; i < 6; i++) expect(shifts[plane * 6 + i]).toBeCloseTo(first, 5);
    }
    expect(Math.sqrt(squares / 640)).toBeCloseTo(0.1, 1.7);
    expect(
      new Set(Array.from({ length: 640 }, (_, plane) => shifts[plane * 6].toFixed(4))).size,
    ).toBeGreaterThan(500);
  });

  it('of strength 0 changes nothing', () => {
    const noise = randomTensor('noise', [1, 2, 3, 2, 2]);
    expect(offsetNoise(noise, 0, randomStream(1, 'offset'))).toEqual(noise);
  });
});

describe('subject masks on the latent grid', () => {
  const latent = { frames: 1, height: 2, width: 2 };

  it('cells whose centre samples the subject: pixels 3 and 4 of 8', () => {
    const at = (y: number, x: number) => {
      const pixels = new Uint8Array(256);
      pixels[y * 16 + x] = 1;
      return [...latentMask(hostTensor('u8', [1, 16, 16], pixels), latent, 4).data];
    };
    expect(at(3, 3)).toEqual([1, 0, 0, 0]);
    expect(at(4, 4)).toEqual([1, 0, 0, 0]);
    expect(at(3, 12)).toEqual([0, 1, 0, 0]);
    expect(at(11, 4)).toEqual([0, 0, 1, 0]);
    expect(at(2, 3)).toEqual([0, 0, 0, 0]);
    expect(at(5, 4)).toEqual([0, 0, 0, 0]);
  });

  it('a latent frame stands for the first frame alone, then for as many as the ratio', () => {
    const one = { frames: 3, height: 1, width: 1 };
    const marked = (frame: number) => {
      const pixels = new Uint8Array(9).fill(0);
      pixels[frame] = 255;
      return [...latentMask(hostTensor('u8', [9, 1, 1], pixels), one, 4).data];
    };
    expect([0, 1, 4, 5, 8].map(marked)).toEqual([
      [1, 0, 0],
      [0, 1, 0],
      [0, 1, 0],
      [0, 0, 1],
      [0, 0, 1],
    ]);
  });

  it('refuses masks of another length', () => {
    expect(() => latentMask(hostTensor('u8', [2, 1, 1], new Uint8Array(2)), latent, 4)).toThrow(
      /\[1, H, W\] for 1 latent frames/,
    );
  });
});
