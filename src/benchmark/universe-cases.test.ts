import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
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
import { renderReferences, universeCases } from './universe-cases.ts';

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
  let plan: BenchPlan;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dualreal-bench-universe-'));
    await buildAtlas(DRAWN_ART, join(folder, 'toybox-atlas'));
    plan = {
      ...planOf({ benchmark: 'table1', artCache: folder }, ['a'], 1),
      frames: 5,
      cases: universeCases({ seed: 42, split: 'evaluation' }).slice(0, 1),
    };
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('are whole folders or none', async () => {
    const cancelled = renderReferences(folder, plan, plan.cases[0], AbortSignal.abort());
    await expect(cancelled).rejects.toThrow(CancelledError);
    expect(await readdir(join(folder, 'references', 'photos'))).toEqual([]);
  });

  it('are data sets as training takes them, with captions and masks, and are made once', async () => {
    const [{ photos, clips, classWord }] = plan.cases;
    await renderReferences(folder, plan, plan.cases[0], undefined);
    const [pictures, moving, generic] = await Promise.all(
      [photos, clips, 'references/generic'].map((name) => readDataset(join(folder, name))),
    );
    expect(pictures.length).toBeGreaterThanOrEqual(3);
    expect(moving.length).toBeGreaterThanOrEqual(2);
    expect(generic.length).toBe(16);
    for (const { kind, caption, mask } of pictures) {
      expect({ kind, hasMask: mask !== undefined }).toEqual({ kind: 'photo', hasMask: true });
      expect(caption).toContain(classWord);
    }
    expect(moving.every(({ kind }) => kind === 'clip')).toBe(true);
    const before = await readFile(moving[0].path);
    await renderReferences(folder, plan, plan.cases[0], undefined);
    expect(await readFile(moving[0].path)).toEqual(before);
  });
});
