import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { artKeys } from './atlas.ts';
import { hasAtlas } from './atlas-build.ts';
import { CLIP_SIZE } from './composite.ts';
import { createReferences } from './evaluation.ts';
import { createUniverse, DEFAULT_CACHE_FOLDER, openUniverseAtlas } from './universe.ts';

const isThere = hasAtlas(join(DEFAULT_CACHE_FOLDER, 'toybox-atlas'));
if (!isThere) {
  console.warn(
    'toybox: the tests with the real art are skipped; dualreal toybox preview makes .cache/toybox-atlas',
  );
}

describe.skipIf(!isThere)('the universe with the real art', () => {
  const atlas = isThere ? openUniverseAtlas() : undefined!;

  it('has something visible in every sprite and every frame', () => {
    const { stills, animations } = artKeys();
    for (const sprite of [...stills.map(atlas.still), ...animations.map(atlas.animation)]) {
      const { width, height, pixels } = sprite.levels.at(-1)!;
      for (let frame = 0; frame < sprite.frames; frame++) {
        let alpha = 0;
        for (let i = 3; i < width * height * 4; i += 4) alpha += pixels[frame * width * height * 4 + i];
        // At least 4 % of the art's canvas of 24 × 24.
        expect(alpha / 255).toBeGreaterThan(0.04 * 24 * 24);
      }
    }
  });

  it('shows subjects that are neither tiny nor cut off', () => {
    const universe = createUniverse({ seed: 1, split: 'pretraining', frames: 9, stage: 2, atlas });
    let small = 0;
    for (let index = 0; index < 400; index++) {
      const { mask } = universe.render(index);
      const middle = mask.subarray(4 * CLIP_SIZE ** 2, 5 * CLIP_SIZE ** 2);
      const covered = middle.filter((alpha) => alpha > 127).length / CLIP_SIZE ** 2;
      if (covered < 0.025) small++;
      expect(covered).toBeLessThan(0.65);
    }
    expect(small).toBeLessThan(20);
  });

  it('moves in every clip of a held-out motion', () => {
    const { catalogue, clips } = createReferences({ seed: 1, split: 'evaluation', frames: 9, atlas });
    for (const { motion } of catalogue.castings) {
      for (const { frames, labels } of clips(motion.id)) {
        const first = frames.subarray(0, CLIP_SIZE ** 2 * 3);
        let largest = 0;
        for (let frame = 1; frame < 9; frame++) {
          const later = frames.subarray(frame * first.length, (frame + 1) * first.length);
          let difference = 0;
          for (let i = 0; i < first.length; i++) if (Math.abs(later[i] - first[i]) > 40) difference++;
          largest = Math.max(largest, difference / first.length);
        }
        expect(largest, `${motion.id} by ${labels.subject}`).toBeGreaterThan(0.01);
      }
    }
  });
});
