import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { compileProgram, startProgram } from '../../test/child-program.ts';
import { FileFormatError } from '../tensor/errors.ts';
import { LockedError } from './lock-file.ts';
import { NotPlainJsonError } from './plain-json.ts';
import {
  createOutput,
  createRun,
  isRunOpen,
  openRun,
  outputFolder,
  RunFolderError,
  readRun,
  requireSameRequest,
} from './run-folder.ts';
import { UnsafeNameError } from './safe-name.ts';

let root: string;
let path: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'dualreal-run-'));
  path = join(root, 'new', 'run');
});
afterEach(() => rm(root, { recursive: true }));

const request = { steps: 10, seed: 42, subject: ['a.png'], options: { skip: true } };
const versions = { dualreal: '0.1.0', node: process.version };

describe('createRun', () => {
  it('makes the folder with its request, and gives every place in it', async () => {
    const run = await createRun(path, request, versions);
    expect(run.notices).toEqual([]);
    expect(run.request).toEqual(request);
    expect(run.versions).toEqual(versions);
    expect(run.eventsFile).toBe(join(path, 'events.jsonl'));
    expect((await readdir(path)).sort()).toEqual([
      'checkpoints',
      'outputs',
      'request.json',
      'run.lock',
      'samples',
    ]);
    const record = JSON.parse(await readFile(join(path, 'request.json'), 'utf8'));
    expect(record).toEqual({ version: 1, createdAt: run.createdAt, versions, request });
    expect(await isRunOpen(path)).toBe(true);
    await run.close();
    expect(await isRunOpen(path)).toBe(false);
    const { request: read } = await readRun(path);
    expect(read).toEqual(request);
  });

  it('refuses a run that is there, with a hint to resume, and changes nothing', async () => {
    await (await createRun(path, request, versions)).close();
    const before = await readFile(join(path, 'request.json'), 'utf8');
    await expect(createRun(path, { steps: 1 }, versions)).rejects.toThrow(/got a run[\s\S]*--resume/);
    expect(await readFile(join(path, 'request.json'), 'utf8')).toBe(before);
    expect(await readdir(path)).not.toContain('run.lock');
  });

  it('refuses a folder with other things, and a file, leaving both alone', async () => {
    await mkdir(path, { recursive: true });
    await writeFile(join(path, 'thesis.txt'), 'years of work');
    await expect(createRun(path, request, versions)).rejects.toThrow(RunFolderError);
    await expect(createRun(path, request, versions)).rejects.toThrow(
      /thesis\.txt[\s\S]*choose another folder/,
    );
    expect(await readdir(path)).toEqual(['thesis.txt']);
    await expect(createRun(join(path, 'thesis.txt'), request, versions)).rejects.toThrow(
      /a file of that name/,
    );
  });

  it('accepts an empty folder, and one that a crash left before its request was written', async () => {
    await mkdir(path, { recursive: true });
    await writeFile(
      join(path, 'run.lock'),
      `${JSON.stringify({ pid: 4_000_000, host: (await import('node:os')).hostname() })}\n`,
    );
    const run = await createRun(path, request, versions);
    expect(run.notices).toEqual([expect.stringMatching(/took over the lock of process 4000000/)]);
    await run.close();
  });

  it('refuses a request that JSON would change, before it makes a folder', async () => {
    await expect(createRun(path, { learningRate: Number.NaN }, versions)).rejects.toThrow(NotPlainJsonError);
    expect(await readdir(root)).toEqual([]);
  });
});

describe('openRun', () => {
  it('goes on with a run; two at once are refused', async () => {
    const first = await createRun(path, request, versions);
    await expect(openRun(path)).rejects.toThrow(LockedError);
    await first.close();
    const second = await openRun(path);
    expect(second.notices).toEqual([]);
    await second.close();
  });

  it.each([
    ['no folder', undefined, RunFolderError, /a run folder, with request\.json/],
    ['cut off', '{"version":1,', FileFormatError, /valid JSON/],
    ['another version', '{"version":2}', FileFormatError, /version/],
    ['a list', '[]', FileFormatError, /record of a run/],
  ])('%s: a clear error, and no lock left', async (_, contents, kind, message) => {
    if (contents !== undefined) {
      await mkdir(path, { recursive: true });
      await writeFile(join(path, 'request.json'), contents);
    }
    await expect(openRun(path)).rejects.toThrow(kind);
    await expect(openRun(path)).rejects.toThrow(message);
    if (contents !== undefined) expect(await readdir(path)).toEqual(['request.json']);
  });

  it('names what differs from the request it was started with', async () => {
    const run = await createRun(path, request, versions);
    requireSameRequest(run, { ...request, seed: 42, extra: undefined });
    expect(() => requireSameRequest(run, { ...request, steps: 20, batch: 2 })).toThrow(
      /expected the request it was started with: steps 10, batch null, got steps 20, batch 2/,
    );
    expect(() => requireSameRequest(run, { ...request, options: { skip: false } })).toThrow(/options/);
    await run.close();
  });
});

describe('outputs', () => {
  it('get a new folder each', async () => {
    const run = await createRun(path, request, versions);
    const folder = await createOutput(run, 'video-1');
    expect(folder).toBe(join(path, 'outputs', 'video-1'));
    await expect(createOutput(run, 'video-1')).rejects.toThrow(/one of that id/);
    await run.close();
  });

  it.each(['../escape', '/etc', 'a/b', '..', 'con', '.git', 'A'])('refuse the id %s', async (id) => {
    const run = await createRun(path, request, versions);
    expect(() => outputFolder(run, id)).toThrow(UnsafeNameError);
    await expect(createOutput(run, id)).rejects.toThrow(UnsafeNameError);
    await run.close();
  });
});

describe('another process', async () => {
  const programs = await mkdtemp(join(tmpdir(), 'dualreal-run-program-'));
  afterAll(() => rm(programs, { recursive: true }));
  const program = await compileProgram(
    `import { createRun } from './src/store/run-folder.ts';
     const run = await createRun(process.argv[2], { steps: 1 }, {});
     console.log('open');
     setInterval(() => {}, 1000);`,
    join(programs, 'program'),
  );

  it('that trains there is respected while it lives, and taken over from when it was killed', async () => {
    const child = startProgram(program, path);
    expect(await child.line()).toBe('open');
    await expect(openRun(path)).rejects.toThrow(`in use by process ${child.process.pid}`);
    await child.kill();
    const run = await openRun(path);
    expect(run.notices).toEqual([expect.stringMatching(/took over the lock of process/)]);
    await run.close();
  });
});
