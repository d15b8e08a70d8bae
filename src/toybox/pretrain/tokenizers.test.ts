import { describe, expect, it } from 'vitest';
import { randomStream } from '../../tensor/random.ts';
import { captionVocabulary } from '../universe/captions.ts';
import { catalogueOf } from '../universe/catalogue.ts';
import { describeClip } from '../universe/plan.ts';
import { clipTokenizerFiles, TEXT_TOKENS, t5TokenizerFiles, tokenizerOf } from './tokenizers.ts';

const t5 = tokenizerOf(t5TokenizerFiles(), 'T5');
const clip = tokenizerOf(clipTokenizerFiles(), 'CLIP');

describe('tokenizers of the toy base', () => {
  it('give every word of the vocabulary one token of its own', () => {
    const ids = captionVocabulary().map((word) => {
      expect(t5.count(word)).toBe(2);
      expect(clip.count(word)).toBe(3);
      return t5.encode(word, 2).ids.data[0];
    });
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('have room for every caption', () => {
    for (const split of ['pretraining', 'evaluation'] as const) {
      for (let index = 0; index < 2000; index++) {
        const stream = randomStream(7, split, index);
        const { caption } = describeClip(stream, catalogueOf(split, 2), index % 2 === 0 ? 1 : 9);
        expect(t5.count(caption), caption).toBeLessThanOrEqual(TEXT_TOKENS);
        expect(clip.count(caption), caption).toBeLessThanOrEqual(TEXT_TOKENS);
      }
    }
  });

  it('spell unknown words and ignore case and punctuation', () => {
    expect(t5.encode('A Penguin, jumping!', 8).ids).toEqual(t5.encode('a penguin jumping', 8).ids);
    expect(t5.count('a quokka')).toBe(9);
    // Nothing becomes the unknown token, id 2.
    expect(t5.encode('quokka 42 ünïcode', 24).ids.data).not.toContain(2n);
  });

  it('end with the ids that the encoders look for', () => {
    expect([...t5.encode('a penguin', 5).ids.data].slice(2)).toEqual([1n, 0n, 0n]);
    const ids = [...clip.encode('a penguin', 6).ids.data].map(Number);
    expect(ids.indexOf(Math.max(...ids))).toBe(3);
    expect(Math.max(...ids)).toBe(clip.idLimit - 1);
  });
});
