import { describe, expect, it } from 'vitest';
import { randomStream } from '../../tensor/random.ts';
import { TEXT_TOKENS } from '../pretrain/tokenizers.ts';
import { artKeys } from './atlas.ts';
import { captionVocabulary } from './captions.ts';
import {
  catalogueOf,
  isHeldOutCombination,
  type Split,
  SUBJECTS,
  type Subject,
  subjectById,
  withArticle,
} from './catalogue.ts';
import { FREE_MOTIONS, FREE_TRAJECTORIES } from './free-motions.ts';
import { MOTIONS } from './motions.ts';
import { describeClip } from './plan.ts';
import { SCENES } from './scenes.ts';
import { PRETRAINING_TRAJECTORIES } from './trajectories.ts';
import { HELD_OUT_TRAJECTORIES } from './trajectories-held-out.ts';

const ofPurpose = (purpose: string): Subject[] => SUBJECTS.filter((subject) => subject.purpose === purpose);
const artOf = (subjects: readonly Subject[]): Set<string> =>
  new Set(subjects.flatMap((subject) => [subject.still, ...Object.values(subject.animations)]));

describe('the catalogue', () => {
  it('has the sizes of the paper’s benchmark', () => {
    expect(ofPurpose('evaluation')).toHaveLength(50);
    expect(ofPurpose('development')).toHaveLength(10);
    expect(MOTIONS.filter(({ purpose }) => purpose === 'evaluation')).toHaveLength(21);
    expect(MOTIONS.filter(({ purpose }) => purpose === 'development')).toHaveLength(5);
    const first = catalogueOf('pretraining', 1);
    expect(first.subjects.length).toBeGreaterThanOrEqual(100);
    expect(
      first.subjects.filter(({ animations }) => Object.keys(animations).length > 0).length,
    ).toBeGreaterThanOrEqual(50);
    expect(first.castings.filter(({ motion }) => motion.kind === 'procedural')).toHaveLength(8);
    expect(first.scenes).toHaveLength(12);
    expect(SCENES).toHaveLength(18);
  });

  it('calls everything by one name only', () => {
    for (const names of [SUBJECTS, MOTIONS, SCENES].map((all) => all.map(({ id }) => id))) {
      expect(new Set(names).size).toBe(names.length);
    }
    expect(new Set(SUBJECTS.map(({ phrase }) => phrase)).size).toBe(SUBJECTS.length);
    expect(new Set(MOTIONS.map(({ phrase }) => phrase)).size).toBe(MOTIONS.length);
    expect(new Set(SCENES.map(({ phrase }) => phrase)).size).toBe(SCENES.length);
    expect(new Set(SCENES.map(({ panorama }) => panorama)).size).toBe(SCENES.length);
    expect(() => subjectById('nobody')).toThrow(RangeError);
  });

  it('puts the right article', () => {
    expect(['apple', 'ufo', 'umbrella', 'unicorn', 'penguin'].map(withArticle)).toEqual([
      'an apple',
      'a ufo',
      'an umbrella',
      'a unicorn',
      'a penguin',
    ]);
  });

  it('has a trajectory for each procedural motion, held-out ones in their own file', () => {
    for (const motion of MOTIONS.filter(({ kind }) => kind === 'procedural')) {
      const isPretraining = motion.purpose === 'pretraining';
      expect(motion.id in PRETRAINING_TRAJECTORIES).toBe(isPretraining);
      expect(motion.id in HELD_OUT_TRAJECTORIES).toBe(!isPretraining);
    }
    expect(Object.keys(FREE_TRAJECTORIES)).toEqual(FREE_MOTIONS.map(({ id }) => id));
  });

  it('teaches every class word of a held-out subject', () => {
    const taught = catalogueOf('pretraining', 1).subjects.map(({ classWord }) => classWord);
    for (const subject of [...ofPurpose('evaluation'), ...ofPurpose('development')]) {
      expect(taught.filter((word) => word === subject.classWord).length).toBeGreaterThanOrEqual(3);
    }
  });

  it('calls free motions by words that the text encoder knows, and by no other motion’s name', () => {
    const known = new Set(captionVocabulary());
    const phrases = FREE_MOTIONS.map(({ phrase }) => phrase);
    for (const word of phrases.flatMap((phrase) => phrase.split(' '))) expect(known).toContain(word);
    expect(new Set([...phrases, ...MOTIONS.map(({ phrase }) => phrase)]).size).toBe(
      phrases.length + MOTIONS.length,
    );
    expect(new Set(FREE_MOTIONS.map(({ id }) => id)).size).toBe(FREE_MOTIONS.length);
    const catalogue = catalogueOf('pretraining', 3);
    const isFree = Array.from({ length: 2000 }, (_, index) => {
      const { motion, caption } = describeClip(randomStream(6, 'x', index), catalogue, 9);
      // Words and the token that ends them: a caption that does not fit would lose its scene.
      expect(caption.split(' ').length).toBeLessThan(TEXT_TOKENS);
      return motion!.stage === 3;
    });
    expect(isFree.filter(Boolean).length / isFree.length).toBeCloseTo(0.5, 1);
  });

  it('lets every articulated motion be performed by several identities', () => {
    for (const split of ['pretraining', 'evaluation', 'development'] as const) {
      for (const { motion, performers } of catalogueOf(split, 2).castings) {
        expect(performers.length, motion.id).toBeGreaterThanOrEqual(3);
      }
    }
  });
});

describe('the splits', () => {
  it('share no picture between subjects of different purposes', () => {
    const purposes = ['pretraining', 'development', 'evaluation'].map((purpose) => artOf(ofPurpose(purpose)));
    for (const [i, one] of purposes.entries()) {
      for (const other of purposes.slice(i + 1)) {
        expect([...one].filter((key) => other.has(key))).toEqual([]);
      }
    }
  });

  it('share no animation between motions', () => {
    const seen = new Map<string, string>();
    for (const subject of SUBJECTS) {
      for (const [motion, key] of Object.entries(subject.animations)) {
        expect(seen.get(key) ?? motion).toBe(motion);
        seen.set(key, motion);
      }
    }
    expect(artKeys().animations).toEqual([...seen.keys()].sort());
  });

  it.each([1, 2, 3] as const)(
    'keep held-out art, motions and triples out of pretraining, stage %i',
    (stage) => {
      const heldOutSubjects = artOf([...ofPurpose('evaluation'), ...ofPurpose('development')]);
      const heldOutAnimations = new Set(
        SUBJECTS.flatMap(({ animations }) =>
          MOTIONS.filter(({ purpose }) => purpose !== 'pretraining').flatMap(
            ({ id }) => animations[id] ?? [],
          ),
        ),
      );
      expect(heldOutAnimations.size).toBeGreaterThan(100);
      const catalogue = catalogueOf('pretraining', stage);
      const triples = new Set<string>();
      for (let index = 0; index < 20_000; index++) {
        const frames = index % 4 === 0 ? 1 : 9;
        const { subject, motion, scene } = describeClip(randomStream(3, 'x', index), catalogue, frames);
        expect(subject.purpose).toBe('pretraining');
        expect(motion?.purpose ?? 'pretraining').toBe('pretraining');
        const art = motion?.kind === 'articulated' ? subject.animations[motion.id] : subject.still;
        expect(heldOutSubjects.has(art) || heldOutAnimations.has(art)).toBe(false);
        if (motion === undefined) continue;
        expect(isHeldOutCombination(subject.id, motion.id, scene.id)).toBe(false);
        triples.add(`${subject.id}/${motion.id}/${scene.id}`);
      }
      expect(triples.size).toBeGreaterThan(5000);
    },
  );

  it('render only held-out triples of known parts as combinations', () => {
    const catalogue = catalogueOf('combinations');
    for (let index = 0; index < 2000; index++) {
      const { subject, motion, scene } = describeClip(randomStream(4, 'x', index), catalogue, 9);
      expect(subject.purpose).toBe('pretraining');
      expect(isHeldOutCombination(subject.id, motion!.id, scene.id)).toBe(true);
    }
  });

  it.each(['evaluation', 'development'] as Split[])('%s shows held-out motions, all of them', (split) => {
    const catalogue = catalogueOf(split);
    const motions = new Set<string>();
    const subjects = new Set<string>();
    for (let index = 0; index < 4000; index++) {
      const { subject, motion } = describeClip(randomStream(5, 'x', index), catalogue, 9);
      motions.add(motion!.id);
      subjects.add(subject.id);
      expect(motion!.purpose).toBe(split);
      if (motion!.kind === 'procedural') expect(subject.purpose).toBe(split);
    }
    expect(motions.size).toBe(catalogue.castings.length);
    for (const { id } of catalogue.subjects) expect(subjects.has(id)).toBe(true);
  });

  it('hold out about one triple in twenty', () => {
    let heldOut = 0;
    let all = 0;
    const { castings, scenes } = catalogueOf('pretraining', 2);
    for (const { motion, performers } of castings) {
      for (const subject of performers) {
        for (const scene of scenes) {
          all++;
          if (isHeldOutCombination(subject.id, motion.id, scene.id)) heldOut++;
        }
      }
    }
    expect(heldOut / all).toBeGreaterThan(0.045);
    expect(heldOut / all).toBeLessThan(0.055);
  });
});
