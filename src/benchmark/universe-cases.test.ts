import { existsSync } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readDataset } from '../store/dataset.ts';
import { requireSafeName } from '../store/safe-name.ts';
import { CancelledError } from '../tensor/errors.ts';
import { buildAtlas } from '../toybox/universe/atlas-build.ts';
import { DRAWN_ART } from '../toybox/universe/drawn-art.fixture.ts';
import { planOf } from './plan.cases.ts';
import type { BenchPlan } from './plan.ts';
import {
  placeReferences,
  requireEnoughFrames,
  UNIVERSE_GENERIC,
  universeCases,
  universeHashes,
} from './universe-cases.ts';

describe('cases of the universe', () => {
  const cases = universeCases({ seed: 42, split: 'evaluation' });

  it('are all pairs, under names that folders can have, with different prompts', () => {
    expect(cases.length).toBe(50 * 21);
    expect(new Set(cases.map(({ id }) => id)).size).toBe(cases.length);
    for (const { id, prompts, classWord } of cases) {
      expect(requireSafeName(id, 'case')).toBe(id);
      expect(new Set(prompts).size).toBe(prompts.length);
      expect(prompts.length).toBeGreaterThanOrEqual(8);
      expect(prompts[0]).toContain(classWord);
    }
  });

  it('use every motion, then every subject, before one again', () => {
    expect(new Set(cases.slice(0, 21).map(({ motion }) => motion)).size).toBe(21);
    expect(new Set(cases.slice(0, 50).map(({ subject }) => subject)).size).toBe(50);
  });
});

describe('their photos and clips', () => {
  let folder = '';
  const planOn = (split: 'evaluation' | 'development', out: string): BenchPlan => ({
    ...planOf({ benchmark: 'table1', split, artCache: folder, out }, ['a'], 1),
    frames: 5,
    cases: universeCases({ seed: 42, split }).slice(0, 1),
  });
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dualreal-bench-universe-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('are whole folders or none', async () => {
    const plan = planOn('evaluation', join(folder, 'none'));
    const cancelled = placeReferences(plan.request.out, plan, plan.cases[0], AbortSignal.abort());
    await expect(cancelled).rejects.toThrow(CancelledError);
    expect(existsSync(join(plan.request.out, plan.cases[0].photos))).toBe(false);
  });

  it('come with the program, except for tuning', async () => {
    const asked = { benchmark: 'table1', artCache: join(folder, 'no-art') } as const;
    const { filesHash, artHash } = await universeHashes({ ...asked, split: 'evaluation' });
    expect(filesHash).toMatch(/^[0-9a-f]{64}$/);
    expect(artHash).toBeUndefined();
    await expect(universeHashes({ ...asked, split: 'development' })).rejects.toThrow(
      'dualreal toybox preview',
    );
    const judged = { ...asked, benchmark: 'customization', split: 'evaluation' } as const;
    await expect(universeHashes(judged)).rejects.toThrow('lessons of the motion classifier');
  });

  it('are as long as those that come with the program, where they are these', async () => {
    await expect(requireEnoughFrames({ split: 'evaluation' }, 9)).resolves.toBeUndefined();
    await expect(requireEnoughFrames({ split: 'development' }, 17)).resolves.toBeUndefined();
    await expect(requireEnoughFrames({ split: 'evaluation' }, 17)).rejects.toThrow('at most 9 frames');
  });

  it.each(['evaluation', 'development'] as const)(
    'are data sets as training takes them, with captions and masks, and are made once: %s',
    async (split) => {
      if (split === 'development') await buildAtlas(DRAWN_ART, join(folder, 'toybox-atlas'));
      const plan = planOn(split, join(folder, split));
      const [{ photos, clips, classWord }] = plan.cases;
      const { out } = plan.request;
      await placeReferences(out, plan, plan.cases[0], undefined);
      const [pictures, moving, generic] = await Promise.all(
        [photos, clips, UNIVERSE_GENERIC].map((name) => readDataset(join(out, name))),
      );
      expect(pictures.length).toBeGreaterThanOrEqual(3);
      expect(moving.length).toBeGreaterThanOrEqual(2);
      expect(generic.length).toBe(16);
      for (const { kind, caption, mask } of pictures) {
        expect({ kind, hasMask: mask !== undefined }).toEqual({ kind: 'photo', hasMask: true });
        expect(caption).toContain(classWord);
      }
      expect(moving.every(({ kind }) => kind === 'clip')).toBe(true);
      const before = await stat(moving[0].path);
      await placeReferences(out, plan, plan.cases[0], undefined);
      expect((await stat(moving[0].path)).ino).toBe(before.ino);
    },
  );
});
