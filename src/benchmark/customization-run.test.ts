import { mkdtemp, readFile, rm, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { probeMedia } from '../media/index.ts';
import { createRuntime } from '../runtime/index.ts';
import { buildAtlas } from '../toybox/universe/atlas-build.ts';
import { DRAWN_ART } from '../toybox/universe/drawn-art.fixture.ts';
import { initBase, initBaseRequestSchema } from '../workflows/init-base.ts';
import { runWorkflow, type WorkflowContext } from '../workflows/workflow.ts';
import { bench, resumeBench } from './bench.ts';
import { benchControlSchema, benchRequestSchema } from './request.ts';

let folder = '';
const at = (...names: string[]) => join(folder, ...names);
const ignore = () => undefined;
const control = benchControlSchema.parse({ threads: 1 });
const context = (openRuntime: WorkflowContext['openRuntime']): WorkflowContext => ({
  clock: () => performance.now(),
  openRuntime,
  cacheFolder: at('cache'),
});
const working = () => context(() => createRuntime({ inline: true, threads: 1 }));
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dualreal-customization-'));
  await buildAtlas(DRAWN_ART, at('toybox-atlas'));
  const base = initBaseRequestSchema.parse({ out: at('base'), size: 'tiny' });
  await runWorkflow(initBase(base), ignore);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('makes clips of base and presets, asks what they show, reports, and goes on where something is missing', async () => {
  const request = benchRequestSchema.parse({
    ...{ benchmark: 'customization', out: at('bench'), base: at('base'), artCache: folder },
    ...{ split: 'development', cases: 1, prompts: 2, lessons: 2, exams: 1 },
    ...{ train: { steps: 2, options: { groups: 2 } }, sampling: { steps: 2 } },
  });
  const { customization: found, failed } = await runWorkflow(bench(request, control, working()), ignore);
  expect(failed).toEqual([]);
  expect(found!.presets.map(({ variant }) => variant)).toEqual(['official', 'clean']);
  expect(found!.exam!.exam).toHaveLength(5);
  expect(found!.exam!.classes).toContain('at-rest');
  const [{ pairs }] = found!.presets;
  expect(pairs[0].clipI!.base).not.toBe(pairs[0].clipI!.own);
  expect(pairs[0].motion!.clips).toBe(2);
  expect(found!.holds).toBe(false);

  const [id] = found!.counted;
  expect(await probeMedia(at('bench', 'report', 'sheets', `${id}.png`))).toMatchObject({ kind: 'photo' });
  const page = await readFile(at('bench', 'report', 'index.html'), 'utf8');
  expect(page).toContain('customization works on at least 6 pairs with every preset: NO');
  const csv = await readFile(at('bench', 'report', 'customization.csv'), 'utf8');
  expect(csv).toContain(`clean,${id},`);
  const seeds = await Promise.all(
    ['00', '01'].map(async (name) => {
      const text = await readFile(at('bench', 'results', id, 'base', `${name}.json`), 'utf8');
      return (JSON.parse(text) as { seed: number }).seed;
    }),
  );
  expect(seeds).toEqual([42, 43]);

  // The answers alone are made again, with one engine, to the same ones.
  await unlink(at('bench', 'motions', 'cases', `${id}.json`));
  let engines = 0;
  const counting = context(() => {
    engines++;
    return createRuntime({ inline: true, threads: 1 });
  });
  const resumed = await runWorkflow(resumeBench(at('bench'), 'customization', control, counting), ignore);
  expect(resumed.customization).toEqual(found);
  expect(engines).toBe(1);
});
