import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { encodePhoto } from '../../media/index.ts';
import { zeros } from '../../tensor/host-tensor.ts';
import { copyMedia, readControllerWeights, readLosses, readStepTimes } from './collect-run.ts';
import { type RunReport, renderRunReport, shownTime } from './run-report.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'run-report-'));
});
afterEach(() => rm(folder, { recursive: true }));

const medium = (src: string, alt = src) => ({ src, alt, width: 64, height: 64 });
const report: RunReport = {
  title: 'A run',
  lead: 'What happened.',
  photos: [medium('photos/1.png'), medium('photos/2.png')],
  clips: [medium('clips/1.mp4', 'a pizza <turns>')],
  videos: [
    { prompt: 'a fox & a hen', customized: medium('videos/1.mp4'), plain: medium('videos/1-plain.mp4') },
  ],
  losses: {
    identity: [
      { step: 2, loss: 0.25 },
      { step: 3, loss: 0.75 },
    ],
    motion: [{ step: 1, loss: 0.5 }],
  },
  controller: {
    blocks: 14,
    weightTotal: 0.2,
    steps: [
      { timestep: 999, identity: [0.0512, 0.1] },
      { timestep: 32, identity: [0.1536, 0.1] },
    ],
  },
  times: [
    { stage: 'training', seconds: 118, each: '118 ms per step' },
    { stage: 'videos', seconds: 7.25 },
  ],
  settings: [['preset', 'official']],
  requests: { Training: { steps: 1000, base: 'toybox' } },
  commands: [['Another', 'dualreal generate --prompt "x"']],
  madeBy: 'dualreal',
};

it('shows everything that went in and came out, by addresses within the folder', () => {
  const page = renderRunReport(report);
  const addresses = [...page.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, address]) => address);
  expect(addresses.filter((address) => address !== 'data:,').sort()).toEqual([
    'clips/1.mp4',
    'photos/1.png',
    'photos/2.png',
    'videos/1-plain.mp4',
    'videos/1.mp4',
  ]);
  expect(page).toContain('“a fox &amp; a hen”');
  expect(page).toContain('a pizza &lt;turns&gt;');
});

it('shows the numbers: losses by phase, weights by depth, times with their sum, settings', () => {
  const page = renderRunReport(report);
  expect(page).toContain('Loss of the identity steps (2)');
  expect(page).toContain('Loss of the motion steps (1)');
  expect(page).toMatch(
    /blocks 1–7<\/td><td class="number">0.0512<\/td><td class="number">0.1536<\/td><td class="number">0.1024/,
  );
  expect(page).toContain('blocks 8–14');
  expect(page).toMatch(/together<\/strong><\/td><td class="number">2 min 05 s/);
  expect(page).toContain('118 ms per step');
  expect(page).toContain('&quot;base&quot;: &quot;toybox&quot;');
  expect(page).toContain('dualreal generate --prompt &quot;x&quot;');
  expect(page).not.toMatch(/NaN|undefined|\[object/);
});

it('a notice stands out; a run without a controller says so', () => {
  const without = { ...report, controller: { ...report.controller, steps: [] } };
  const page = renderRunReport({ ...without, notice: 'Random weights.' });
  expect(page).toContain('<p class="notice">Random weights.</p>');
  expect(page).toContain('no controller');
  expect(renderRunReport(report)).not.toContain('class="notice"');
});

it('times are short where they are short', () => {
  expect([0.04, 59.4, 59.6, 125].map(shownTime)).toEqual(['0.0 s', '59.4 s', '1 min 00 s', '2 min 05 s']);
});

const jsonLines = (events: readonly object[]) => events.map((event) => `${JSON.stringify(event)}\n`).join('');

it('losses are read by phase; a step that was done again counts as it was last', async () => {
  const log = join(folder, 'events.jsonl');
  const step = (number: number, phase: string, loss: number) => ({
    type: 'step',
    step: number,
    phase,
    loss,
    durationMs: 100 * number,
  });
  await writeFile(
    log,
    jsonLines([
      step(1, 'motion', 4),
      step(2, 'identity', 9),
      { type: 'stage', stage: 'resuming' },
      step(2, 'motion', 3),
      step(3, 'identity', 2),
    ]),
  );
  expect(await readLosses(log)).toEqual({
    identity: [{ step: 3, loss: 2 }],
    motion: [
      { step: 1, loss: 4 },
      { step: 2, loss: 3 },
    ],
  });
  expect(await readStepTimes(log)).toEqual({ steps: 3, seconds: expect.closeTo(0.6) });
});

it('weights are averaged over the videos, step by step; none without a controller', async () => {
  const write = (name: string, weights: readonly (readonly number[] | undefined)[]) =>
    writeFile(
      join(folder, name, 'events.jsonl'),
      jsonLines(
        weights.map((identityWeights, i) => ({
          type: 'denoise',
          step: i + 1,
          timestep: 999 - i * 500,
          identityWeights,
        })),
      ),
    );
  for (const name of ['a', 'b', 'plain']) await mkdir(join(folder, name));
  await write('a', [
    [0.1, 0.2],
    [0, 1],
  ]);
  await write('b', [
    [0.3, 0.2],
    [1, 1],
  ]);
  await write('plain', [undefined]);
  const [first, second] = await readControllerWeights([join(folder, 'a'), join(folder, 'b')]);
  expect(first).toEqual({ timestep: 999, identity: [expect.closeTo(0.2), expect.closeTo(0.2)] });
  expect(second).toEqual({ timestep: 499, identity: [0.5, 1] });
  expect(await readControllerWeights([join(folder, 'plain')])).toEqual([]);
});

it('media are copied beside the page, with their size', async () => {
  const photo = join(folder, 'My photo.PNG');
  await encodePhoto(photo, zeros('u8', [24, 40, 3]));
  const out = join(folder, 'report');
  expect(await copyMedia([{ path: photo }], out, 'photos')).toEqual([
    { src: 'photos/1.png', alt: 'My photo.PNG', width: 40, height: 24 },
  ]);
  expect(await readFile(join(out, 'photos', '1.png'))).toEqual(await readFile(photo));
});
