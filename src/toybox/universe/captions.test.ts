import { describe, expect, it } from 'vitest';
import { randomStream } from '../../tensor/random.ts';
import { captionVocabulary } from './captions.ts';
import { catalogueOf, type Split } from './catalogue.ts';
import { evaluationCases, PROMPTS_PER_CASE } from './evaluation.ts';
import { describeClip } from './plan.ts';

const MOST_WORDS = 16;

describe('captions', () => {
  const vocabulary = new Set(captionVocabulary());

  it('have a small closed vocabulary of plain lower-case words', () => {
    expect(vocabulary.size).toBeLessThan(450);
    for (const word of vocabulary) expect(word).toMatch(/^[a-z]+$/);
  });

  it.each(['pretraining', 'combinations', 'development', 'evaluation'] as Split[])(
    'of %s use only its words, few of them, single-spaced',
    (split) => {
      for (const stage of [1, 2] as const) {
        const catalogue = catalogueOf(split, stage);
        const own = new Set(captionVocabulary([catalogue]));
        const unknown = new Set<string>();
        let longest = 0;
        for (let index = 0; index < 3000; index++) {
          const frames = index % 2 === 0 ? 1 : 9;
          const { caption } = describeClip(randomStream(6, 'captions', index), catalogue, frames);
          const words = caption.split(' ');
          longest = Math.max(longest, words.length);
          for (const word of words) if (!own.has(word) || !vocabulary.has(word)) unknown.add(word);
        }
        expect([...unknown]).toEqual([]);
        expect(longest).toBeLessThanOrEqual(MOST_WORDS);
      }
    },
  );

  it('say what is shown', () => {
    const catalogue = catalogueOf('pretraining');
    for (let index = 0; index < 500; index++) {
      const clip = describeClip(randomStream(7, 'captions', index), catalogue, index % 2 === 0 ? 1 : 9);
      expect(clip.caption).toContain(clip.scene.phrase);
      if (clip.motion !== undefined) expect(clip.caption).toContain(clip.motion.phrase);
      const { phrase, classPhrase } = clip.subject;
      expect(clip.caption.includes(phrase) || clip.caption.includes(classPhrase)).toBe(true);
      if (index % 2 === 1) expect(clip.motion).toBeDefined();
    }
  });

  it('vary: most templates and both kinds of names occur', () => {
    const catalogue = catalogueOf('pretraining');
    const captions = Array.from(
      { length: 400 },
      (_, index) => describeClip(randomStream(8, 'captions', index), catalogue, 9).caption,
    );
    for (const pattern of [/^a video of/, /^a clip of .* that is/, / is .* (in|on|at) /, /^(in|on|at) /]) {
      expect(captions.filter((caption) => pattern.test(caption)).length).toBeGreaterThan(20);
    }
    expect(captions.filter((caption) => /an? (animal|vehicle|person|man|woman)\b/.test(caption))).not.toEqual(
      [],
    );
  });
});

describe('evaluation cases', () => {
  it('are all pairs, each prefix balanced', () => {
    const cases = evaluationCases({ seed: 1, split: 'evaluation' });
    expect(cases).toHaveLength(50 * 21);
    expect(new Set(cases.map(({ subject, motion }) => `${subject.id}/${motion.id}`)).size).toBe(50 * 21);
    const first = cases.slice(0, 50);
    expect(new Set(first.map(({ subject }) => subject.id)).size).toBe(50);
    const counts = new Map<string, number>();
    for (const { motion } of first) counts.set(motion.id, (counts.get(motion.id) ?? 0) + 1);
    expect(counts.size).toBe(21);
    expect(Math.max(...counts.values())).toBeLessThanOrEqual(3);
  });

  it('are all pairs for the development split too, whose sizes share a divisor', () => {
    const cases = evaluationCases({ seed: 1, split: 'development' });
    expect(new Set(cases.map(({ subject, motion }) => `${subject.id}/${motion.id}`)).size).toBe(50);
  });

  it('have 50 different prompts each, every scene about equally often, in known words', () => {
    const vocabulary = new Set(captionVocabulary());
    for (const stage of [1, 2] as const) {
      for (const { prompts, motion, subject } of evaluationCases({
        seed: 2,
        split: 'evaluation',
        stage,
      }).slice(0, 60)) {
        expect(prompts).toHaveLength(PROMPTS_PER_CASE);
        expect(new Set(prompts.map(({ text }) => text)).size).toBe(PROMPTS_PER_CASE);
        const perScene = new Map<string, number>();
        for (const { text, scene } of prompts) {
          perScene.set(scene, (perScene.get(scene) ?? 0) + 1);
          expect(text).toContain(motion.phrase);
          expect(text).toContain(subject.classPhrase);
          expect(text.split(' ').filter((word) => !vocabulary.has(word))).toEqual([]);
        }
        expect(Math.max(...perScene.values()) - Math.min(...perScene.values())).toBeLessThanOrEqual(1);
      }
    }
  });

  it('depend on the seed alone', () => {
    const options = { seed: 9, split: 'evaluation' } as const;
    expect(evaluationCases(options)).toEqual(evaluationCases(options));
    const other = evaluationCases({ ...options, seed: 10 });
    expect(other.map(({ subject }) => subject.id)).not.toEqual(
      evaluationCases(options).map(({ subject }) => subject.id),
    );
  });
});
