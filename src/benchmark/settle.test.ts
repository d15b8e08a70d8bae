import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FeatureCache } from '../store/feature-cache.ts';
import { initBase, initBaseRequestSchema } from '../workflows/init-base.ts';
import { runWorkflow } from '../workflows/workflow.ts';
import type { BenchPlan } from './plan.ts';
import { type BenchRequestInput, benchRequestSchema } from './request.ts';
import { requireSameSources, settlePlan } from './settle.ts';

let folder = '';
let cache: FeatureCache;
const settle = (asked: Partial<BenchRequestInput> = {}): Promise<BenchPlan> => {
  const paths = { out: join(folder, 'bench'), base: join(folder, 'base'), artCache: join(folder, 'no-art') };
  return settlePlan(benchRequestSchema.parse({ benchmark: 'table1', ...paths, ...asked }), cache);
};
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dualreal-settle-'));
  cache = new FeatureCache(join(folder, 'cache'));
  const base = initBaseRequestSchema.parse({ out: join(folder, 'base'), size: 'tiny' });
  await runWorkflow(initBase(base), () => undefined);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('settles the evaluation split without art, and goes on with the same photos and clips only', async () => {
  const plan = await settle();
  expect(plan.cases).toHaveLength(4);
  if (plan.source.kind !== 'universe') throw new RangeError('cases are not of the universe');
  expect(plan.source.artHash).toBeUndefined();
  await expect(requireSameSources(plan, folder, cache)).resolves.toBeUndefined();
  const other: BenchPlan = { ...plan, source: { ...plan.source, filesHash: 'f'.repeat(64) } };
  await expect(requireSameSources(other, folder, cache)).rejects.toThrow('photos and clips of dualreal');
});

it('goes on with the same card of the base only', async () => {
  const plan = await settle();
  expect(plan.base.card).toEqual({ guidance: null, learningRates: {}, groupRates: {}, timestepBias: {} });
  const card = { guidance: 3, learningRates: {}, groupRates: {}, timestepBias: {} };
  const other: BenchPlan = { ...plan, base: { ...plan.base, card } };
  await expect(requireSameSources(other, folder, cache)).rejects.toThrow('the card of base');
  const { card: _, ...older } = plan.base;
  await expect(requireSameSources({ ...plan, base: older }, folder, cache)).resolves.toBeUndefined();
});

it('takes the cases that are named, in their order', async () => {
  const plan = await settle({ pairs: ['sushi-somersault', 'seal-hop'] });
  expect(plan.cases.map(({ id, subject, motion }) => [id, subject, motion])).toEqual([
    ['sushi-somersault', 'sushi', 'somersault'],
    ['seal-hop', 'seal', 'hop'],
  ]);
  await expect(settle({ pairs: ['sushi-walk'] })).rejects.toThrow('--pairs');
  await expect(settle({ pairs: ['seal-hop'], cases: 2 })).rejects.toThrow('--cases');
  expect(() => benchRequestSchema.parse({ benchmark: 'table1', out: 'x', pairs: ['a', 'a'] })).toThrow(
    'different cases',
  );
});

it('says what cannot be had without art', async () => {
  await expect(settle({ split: 'development' })).rejects.toThrow('dualreal toybox preview');
  await expect(settle({ frames: 17 })).rejects.toThrow('at most 9 frames');
});
