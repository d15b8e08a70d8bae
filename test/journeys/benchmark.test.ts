import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bench, resumeBench } from '../../src/benchmark/bench.ts';
import { type BenchmarkName, benchControlSchema, benchRequestSchema } from '../../src/benchmark/request.ts';
import { encodePhoto, probeMedia } from '../../src/media/index.ts';
import { reshaped } from '../../src/tensor/host-tensor.ts';
import { runWorkflow } from '../../src/workflows/workflow.ts';
import { movingDisc, writeSampleVideo } from '../media-samples.ts';
import { dualreal } from './command-line.ts';

/** A benchmark of one's own cases on a tiny base with random weights: once in peace, once stopped and killed. */
describe('bench', () => {
  let folder: string;
  const at = (...names: string[]) => join(folder, ...names);
  const manifest = {
    version: 1,
    base: 'base',
    prompts: ['a {subject} is moving', 'a {subject} on a beach'],
    cases: [
      {
        ...{ id: 'disc', subject: 'photos', motion: 'clips', classWord: 'disc' },
        ...{ subjectPrompt: 'a red disc', motionPrompt: 'a disc is moving' },
      },
    ],
  };
  const begin = (out: string) => [
    ...['bench', 'table1', '--manifest', at('cases.json'), '--out', at(out), '--methods', 'lora,dualreal'],
    ...['--train', 'steps=200', '--train', 'motionBatch=2', '--train', 'checkpointEvery=50'],
    ...['--train', 'dualreal:options.groups=2', '--train', 'lora:options.rank=4', '--steps', '3'],
    ...['--threads', '1'],
  ];
  const resume = (out: string, ...more: string[]) => [
    'bench',
    'table1',
    '--resume',
    at(out),
    '--threads',
    '1',
    ...more,
  ];

  /** Every file of the results, with its bytes. */
  const results = (out: string) =>
    filesIn(at(out, 'results')).map((name) => [name, readFileSync(at(out, 'results', name), 'utf8')]);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dualreal-benchmark-'));
    await mkdir(at('photos'));
    await mkdir(at('clips'));
    for (const index of [0, 1]) {
      const photo = movingDisc(1, 48, 32, index);
      await encodePhoto(at('photos', `${index}.png`), reshaped(photo, photo.shape.slice(1)));
      await writeSampleVideo(at('clips', `${index}.avi`), movingDisc(20, 96, 64, index), { fps: 25 });
    }
    await writeFile(at('cases.json'), JSON.stringify(manifest));
    expect((await dualreal(['base', 'init', at('base'), '--size', 'tiny'], { cwd: folder })).code).toBe(0);
    const whole = await dualreal(begin('whole'), { cwd: folder });
    expect(whole.code, whole.stderr).toBe(0);
    expect(whole.stdout).toMatch(/DualReal +−?\d/);
    expect(whole.stdout).toContain('1 of 1 cases, 2 videos a row');
  });

  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it('has a result for each row and prompt, with videos, and keeps no runs', () => {
    expect(results('whole').map(([name]) => name)).toEqual([
      'disc/dualreal/00.json',
      'disc/dualreal/01.json',
      'disc/lora/00.json',
      'disc/lora/01.json',
    ]);
    for (const [, text] of results('whole')) {
      const { video, values, controller, variant } = JSON.parse(text) as Record<string, never>;
      expect(existsSync(at('whole', video))).toBe(true);
      expect((values as { metric: string }[]).map(({ metric }) => metric)).toContain('clip-i');
      expect(controller !== undefined).toBe(variant === 'dualreal');
    }
    expect(filesIn(at('whole', 'runs'))).toEqual([]);
  });

  it('writes a page that finds everything it shows, and tables', async () => {
    const page = readFileSync(at('whole', 'report', 'index.html'), 'utf8');
    const sources = [...page.matchAll(/<(?:img|video)[^>]* src="([^"]+)"/g)].map(([, src]) => src);
    expect(sources).toEqual(['sheets/disc.png']);
    expect(await probeMedia(at('whole', 'report', sources[0]))).toMatchObject({ kind: 'photo' });
    expect(page).toContain('as published');
    expect(page).toContain('Two ways to a percentage');
    expect(page).not.toContain('Not finished');
    const report = JSON.parse(readFileSync(at('whole', 'report', 'report.json'), 'utf8')) as {
      table: { counted: string[] };
      controller: { videos: number };
    };
    expect(report.table.counted).toEqual(['disc']);
    expect(report.controller.videos).toBe(2);
    expect(readFileSync(at('whole', 'report', 'table.csv'), 'utf8')).toContain('ours,dualreal,clip-i,');
  });

  it('stopped while training, then killed while working on the next row, comes to the same bytes', async () => {
    const stopped = await dualreal(begin('cut'), {
      cwd: folder,
      onOutput: once('predicted:', (kill) => kill('SIGINT')),
    });
    expect(stopped.code, stopped.stderr).toBe(130);
    expect(stopped.stderr).toContain(`go on with: dualreal bench table1 --resume ${at('cut')}`);
    expect(existsSync(at('cut', 'results'))).toBe(false);
    const killed = await dualreal(resume('cut'), {
      cwd: folder,
      onOutput: once('disc, dualreal', (kill) => kill('SIGKILL')),
    });
    expect(killed.code).toBeNull();
    expect(results('cut').map(([name]) => dirname(name))).toEqual(['disc/lora', 'disc/lora']);
    const ended = await dualreal(resume('cut'), { cwd: folder });
    expect(ended.code, ended.stderr).toBe(0);
    expect(results('cut')).toEqual(results('whole'));
    const table = (out: string) => readFileSync(at(out, 'report', 'table.csv'), 'utf8');
    expect(table('cut')).toBe(table('whole'));
  });

  it('goes on only as it was begun, and makes no result twice', async () => {
    const other = await dualreal(resume('whole', '--seed', '3'), { cwd: folder });
    expect(other.stderr).toContain('a benchmark goes on as it was begun');
    const context = { clock: () => 0, openRuntime: refuse, cacheFolder: at('cache') };
    const control = benchControlSchema.parse({});
    const request = benchRequestSchema.parse({ benchmark: 'table1', out: at('whole') });
    await expect(runWorkflow(bench(request, control, context), ignore)).rejects.toThrow('--resume');
    const resumed = (name: BenchmarkName) =>
      runWorkflow(resumeBench(at('whole'), name, control, context), ignore);
    await expect(resumed('fig7')).rejects.toThrow('dualreal bench table1 --resume');
    // Without an engine: nothing is left to do but the report.
    expect(await resumed('table1')).toMatchObject({ failed: [], leftOver: 0, table: { counted: ['disc'] } });
  });
});

const ignore = () => undefined;

function refuse(): never {
  throw new Error('no engine should be needed');
}

/** Reacts to the first appearance of a text. */
function once(text: string, act: (kill: (signal: NodeJS.Signals) => void) => void) {
  let seen = false;
  return (output: string, kill: (signal: NodeJS.Signals) => void) => {
    if (seen || !output.includes(text)) return;
    seen = true;
    act(kill);
  };
}

function filesIn(path: string): string[] {
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1))
    .sort();
}
