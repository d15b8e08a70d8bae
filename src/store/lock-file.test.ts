import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { compileProgram, startProgram } from '../../test/child-program.ts';
import { acquireLock, isLocked, LockedError } from './lock-file.ts';

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dualreal-lock-'));
  path = join(folder, 'run.lock');
});
afterEach(() => rm(folder, { recursive: true }));

const endedPid = (): number => spawnSync(process.execPath, ['-e', '0']).pid;
const record = (facts: object) =>
  writeFile(
    path,
    `${JSON.stringify({ pid: 1, processStart: null, host: hostname(), takenAt: 'then', id: 'x', ...facts })}\n`,
  );

describe('acquireLock', () => {
  it('gives the lock to one at a time, also within a process', async () => {
    const lock = await acquireLock(path, 'run x');
    expect(lock.notice).toBeUndefined();
    expect(await isLocked(path)).toBe(true);
    await expect(acquireLock(path, 'run x')).rejects.toThrow(LockedError);
    await expect(acquireLock(path, 'run x')).rejects.toThrow(
      `run x: expected to be free, got in use by process ${process.pid}`,
    );
    await lock.release();
    expect(await isLocked(path)).toBe(false);
    expect(await readdir(folder)).toEqual([]);
    await (await acquireLock(path, 'run x')).release();
  });

  it('takes over the lock of a process that has ended, with a notice', async () => {
    const pid = endedPid();
    await record({ pid });
    expect(await isLocked(path)).toBe(false);
    const lock = await acquireLock(path, 'run x');
    expect(lock.notice).toBe(`run x: took over the lock of process ${pid}, which ended without releasing it`);
    await lock.release();
  });

  it.runIf(process.platform === 'linux')('is not fooled by another process under the same id', async () => {
    await record({ pid: process.pid, processStart: 'another-boot:1' });
    expect((await acquireLock(path, 'run x')).notice).toMatch(/took over/);
  });

  it('respects a lock of another machine, and says how to get rid of it', async () => {
    await record({ host: 'elsewhere', pid: endedPid() });
    await expect(acquireLock(path, 'run x')).rejects.toThrow(
      /on elsewhere since then[\s\S]*delete .*run\.lock/,
    );
  });

  it('waits for a record that is being written, and removes an old unfinished one', async () => {
    await writeFile(path, '{"pid":');
    const waiting = acquireLock(path, 'run x');
    await record({ pid: process.pid });
    await expect(waiting).rejects.toThrow(LockedError);
    await writeFile(path, '{"pid":');
    const past = new Date(Date.now() - 10_000);
    await utimes(path, past, past);
    expect((await acquireLock(path, 'run x')).notice).toMatch(/took over the lock of a process/);
  });

  it('releasing does not remove a lock that is no longer its own', async () => {
    const lock = await acquireLock(path, 'run x');
    await record({ pid: process.pid, id: 'another' });
    const theirs = await readFile(path, 'utf8');
    await lock.release();
    expect(await readFile(path, 'utf8')).toBe(theirs);
  });
});

describe('several processes', async () => {
  const programs = await mkdtemp(join(tmpdir(), 'dualreal-lock-program-'));
  afterAll(() => rm(programs, { recursive: true }));
  const program = await compileProgram(
    `import { acquireLock } from './src/store/lock-file.ts';
     console.log('ready');
     process.stdin.once('data', async () => {
       try {
         await acquireLock(process.argv[2], 'run x');
         console.log('locked');
       } catch (error) {
         console.log(error.name);
       }
     });`,
    join(programs, 'program'),
  );

  it('racing for a stale lock: exactly one gets it; killed, the next takes over', async () => {
    for (let round = 0; round < 3; round++) {
      await record({ pid: endedPid() });
      const children = Array.from({ length: 4 }, () => startProgram(program, path));
      try {
        for (const child of children) await child.line();
        for (const child of children) child.process.stdin.write('go\n');
        const answers = await Promise.all(children.map((child) => child.line()));
        expect(answers.sort()).toEqual(['LockedError', 'LockedError', 'LockedError', 'locked']);
        await expect(acquireLock(path, 'run x')).rejects.toThrow(LockedError);
      } finally {
        for (const child of children) await child.kill();
      }
      const lock = await acquireLock(path, 'run x');
      expect(lock.notice).toMatch(/took over/);
      await lock.release();
      expect(await readdir(folder)).toEqual([]);
    }
  });
});
