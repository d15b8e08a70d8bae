import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { Split } from './catalogue.ts';
import { CLIP_SIZE } from './composite.ts';
import { drawnAtlas } from './drawn-art.fixture.ts';
import { createReferences } from './evaluation.ts';
import { createUniverse, type RenderedClip, UniverseError } from './universe.ts';

const PIXELS = CLIP_SIZE * CLIP_SIZE;
const atlas = drawnAtlas();
const universeOf = (split: Split, frames: number, seed = 1) =>
  createUniverse({ seed, split, frames, stage: 2, atlas });
const hashOf = (clips: readonly RenderedClip[]): string => {
  const hash = createHash('sha256');
  for (const { frames, mask, caption, labels } of clips) {
    hash
      .update(frames)
      .update(mask)
      .update(JSON.stringify([caption, labels]));
  }
  return hash.digest('hex');
};

describe('a universe', () => {
  it.each([1, 9, 17])('renders clips of %i frames', (frames) => {
    const universe = universeOf('pretraining', frames);
    for (let index = 0; index < 60; index++) {
      const clip = universe.render(index);
      expect(clip.frames.length).toBe(frames * PIXELS * 3);
      expect(clip.mask.length).toBe(frames * PIXELS);
      if (frames > 1) expect(clip.labels.motion).not.toBeNull();
      expect(clip.caption).toBe(universe.describe(index).caption);
      // Something to see: the subject covers 1 to 70 % of the first frame.
      const covered = clip.mask.subarray(0, PIXELS).filter((alpha) => alpha > 127).length / PIXELS;
      expect(covered).toBeGreaterThan(0.01);
      expect(covered).toBeLessThan(0.7);
    }
  });

  it('is a pure function of seed, split, frames and index, in any order', () => {
    const one = universeOf('pretraining', 9);
    const other = universeOf('pretraining', 9);
    const forward = [5, 6, 7].map((index) => one.render(index));
    const backward = [7, 6, 5].map((index) => other.render(index)).reverse();
    expect(hashOf(forward)).toBe(hashOf(backward));
    expect(hashOf([one.render(5)])).not.toBe(hashOf([one.render(6)]));
    expect(hashOf([one.render(5)])).not.toBe(hashOf([universeOf('pretraining', 9, 2).render(5)]));
    expect(hashOf([one.render(5)])).not.toBe(hashOf([universeOf('combinations', 9).render(5)]));
  });

  // Changes with every change of what is rendered: a base trained before was trained on something else.
  const PINNED = '91a94509c528d2aecf2f6f66d4fe0a67b3d9312499987bfc6558510ca98c8829';
  const script = `
    import { createHash } from 'node:crypto';
    import { createUniverse } from './universe.ts';
    import { drawnAtlas } from './drawn-art.fixture.ts';
    const atlas = drawnAtlas();
    const hash = createHash('sha256');
    for (const split of ['pretraining', 'evaluation']) {
      const universe = createUniverse({ seed: 11, split, frames: 9, stage: 2, atlas });
      for (let index = 0; index < 150; index++) {
        const { frames, mask, caption, labels } = universe.render(index);
        hash.update(frames).update(mask).update(JSON.stringify([caption, labels]));
      }
    }
    console.log(hash.digest('hex'));`;

  it('gives the same bytes in another process, and the pinned ones', () => {
    const clips = (['pretraining', 'evaluation'] as const).flatMap((split) => {
      const universe = universeOf(split, 9, 11);
      return Array.from({ length: 150 }, (_, index) => universe.render(index));
    });
    const here = hashOf(clips);
    const cwd = fileURLToPath(new URL('.', import.meta.url));
    const words = ['--import', 'tsx', '--input-type=module', '--eval', script];
    expect(execFileSync(process.execPath, words, { cwd }).toString().trim()).toBe(here);
    expect(here).toBe(PINNED);
  });

  it('refuses other numbers of frames', () => {
    for (const frames of [0, 2, 8, 9.5, Number.NaN]) {
      expect(() => universeOf('pretraining', frames)).toThrow(UniverseError);
    }
  });

  it('marks the subject in the mask, soft at its edge only', () => {
    const clip = universeOf('pretraining', 9).render(3);
    const opaque = clip.mask.filter((alpha) => alpha === 255).length;
    const faint = clip.mask.filter((alpha) => alpha > 0 && alpha < 255).length;
    expect(opaque).toBeGreaterThan(faint);
  });
});

describe('references', () => {
  const references = createReferences({ seed: 1, split: 'evaluation', frames: 9, stage: 2, atlas });

  it('show each held-out subject in 3 to 10 photos of different scenes', () => {
    const counts = new Set<number>();
    for (const subject of references.catalogue.subjects) {
      const photos = references.photos(subject.id);
      counts.add(photos.length);
      expect(photos.length).toBeGreaterThanOrEqual(3);
      expect(photos.length).toBeLessThanOrEqual(10);
      expect(new Set(photos.map(({ labels }) => labels.scene)).size).toBe(photos.length);
      expect(new Set(photos.map((photo) => hashOf([photo]))).size).toBe(photos.length);
      for (const { labels, caption, frames } of photos) {
        expect(labels).toEqual({ subject: subject.id, motion: null, scene: labels.scene });
        expect(caption).toContain(subject.classPhrase);
        expect(frames.length).toBe(PIXELS * 3);
      }
    }
    expect(counts.size).toBeGreaterThan(4);
  });

  it('show each held-out motion in several clips, performed by others', () => {
    for (const { motion } of references.catalogue.castings) {
      const clips = references.clips(motion.id);
      expect(clips.length).toBeGreaterThanOrEqual(4);
      expect(new Set(clips.map(({ labels }) => labels.subject)).size).toBe(clips.length);
      const heldOut = new Set(references.catalogue.subjects.map(({ id }) => id));
      for (const clip of clips) {
        expect(heldOut.has(clip.labels.subject)).toBe(false);
        expect(clip.labels.motion).toBe(motion.id);
        // It moves: some later frame differs clearly from the first.
        const first = clip.frames.subarray(0, PIXELS * 3);
        const changes = Array.from({ length: 8 }, (_, step) => {
          const later = clip.frames.subarray((step + 1) * PIXELS * 3, (step + 2) * PIXELS * 3);
          return later.filter((value, i) => Math.abs(value - first[i]) > 40).length;
        });
        expect(Math.max(...changes), `${motion.id} by ${clip.labels.subject}`).toBeGreaterThan(30);
      }
    }
  });

  it('show a motion done one way by all its performers', () => {
    const maskOf = ({ mask }: RenderedClip, frame: number) =>
      mask.subarray(frame * PIXELS, (frame + 1) * PIXELS);
    const middleOf = (clip: RenderedClip, frame: number) => {
      const mask = maskOf(clip, frame);
      let weight = 0;
      let sum = 0;
      for (const [at, alpha] of mask.entries()) {
        weight += alpha;
        sum += alpha * (at % CLIP_SIZE);
      }
      return sum / weight;
    };
    // There and gone again at the same moments.
    const seen = references
      .clips('blink')
      .map((clip) =>
        Array.from({ length: 9 }, (_, frame) =>
          maskOf(clip, frame).some((alpha) => alpha > 0) ? 'x' : '-',
        ).join(''),
      );
    expect(new Set(seen).size).toBe(1);
    expect(seen[0]).toMatch(/x-|-x/);
    // To the same side, equally far; whoever leans out of the picture loses a pixel or two.
    const ways = references.clips('hop').map((clip) => middleOf(clip, 8) - middleOf(clip, 0));
    expect(Math.max(...ways) - Math.min(...ways)).toBeLessThan(5);
    expect(Math.abs(ways[0])).toBeGreaterThan(10);
  });

  it('are pure functions of the seed, and refuse what is not held out', () => {
    const again = createReferences({ seed: 1, split: 'evaluation', frames: 9, stage: 2, atlas });
    expect(hashOf(again.photos('fox'))).toBe(hashOf(references.photos('fox')));
    expect(hashOf(again.clips('roll'))).toBe(hashOf(references.clips('roll')));
    expect(() => references.photos('penguin')).toThrow(UniverseError);
    expect(() => references.clips('jump')).toThrow(UniverseError);
  });
});
