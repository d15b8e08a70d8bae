import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { removeStaleTemporaries, writeFileAtomic } from './atomic-file.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dualreal-atomic-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('writeFileAtomic', () => {
  it('writes text, bytes and pieces, and replaces what was there', async () => {
    const path = join(folder, 'file');
    await writeFileAtomic(path, 'grün');
    expect(await readFile(path, 'utf8')).toBe('grün');
    await writeFileAtomic(path, Uint8Array.of(1, 2));
    await writeFileAtomic(path, [Uint8Array.of(1), new Uint8Array(0), Uint8Array.of(2, 3)]);
    expect([...(await readFile(path))]).toEqual([1, 2, 3]);
    expect(await readdir(folder)).toEqual(['file']);
  });

  it('keeps the old contents and leaves nothing behind when the source fails', async () => {
    const path = join(folder, 'file');
    await writeFileAtomic(path, 'old');
    function* failing(): Iterable<Uint8Array> {
      yield Uint8Array.of(1);
      throw new Error('source failed');
    }
    await expect(writeFileAtomic(path, failing())).rejects.toThrow('source failed');
    expect(await readFile(path, 'utf8')).toBe('old');
    expect(await readdir(folder)).toEqual(['file']);
  });

  it('replaces a symbolic link instead of writing through it', async () => {
    await writeFile(join(folder, 'target'), 'target');
    await symlink('target', join(folder, 'link'));
    await writeFileAtomic(join(folder, 'link'), 'new');
    expect(await readFile(join(folder, 'target'), 'utf8')).toBe('target');
    expect(await readFile(join(folder, 'link'), 'utf8')).toBe('new');
  });

  it('fails where the folder is missing or the path is a folder', async () => {
    await expect(writeFileAtomic(join(folder, 'no', 'file'), 'x')).rejects.toThrow('ENOENT');
    await expect(writeFileAtomic(folder, 'x')).rejects.toThrow();
  });
});

describe('a process killed while it writes', () => {
  it('leaves the old or the new contents, and a temporary that can be removed', async () => {
    const path = join(folder, 'file');
    const program = `
      import { writeFileAtomic } from ${JSON.stringify(new URL('./atomic-file.ts', import.meta.url).href)};
      for (let value = 0; ; value++) {
        await writeFileAtomic(process.argv[1], Array(64).fill(new Uint8Array(1 << 16).fill(value)));
        process.stdout.write('.');
      }`;
    for (let round = 0; round < 4; round++) {
      const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program, path]);
      const ended = once(child, 'exit');
      await once(child.stdout, 'data');
      await setTimeout(7 * round + 3);
      child.kill('SIGKILL');
      await ended;
      const bytes = await readFile(path);
      expect(bytes.length).toBe(1 << 22);
      expect(bytes.every((byte) => byte === bytes[0])).toBe(true);
    }
    await removeStaleTemporaries(folder);
    expect(await readdir(folder)).toEqual(['file']);
  });
});

describe('removeStaleTemporaries', () => {
  it('removes those of ended processes and very old ones only', async () => {
    const host = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
    const ended = spawnSync(process.execPath, ['-e', '']).pid;
    const name = (machine: string, id: number) => `.dualreal-${machine}-${id}-${'ab'.repeat(8)}.tmp`;
    const names = {
      ended: name(host, ended),
      running: name(host, process.pid),
      elsewhere: name('00000000', 1),
      elsewhereOld: name('11111111', 1),
      user: 'notes.tmp',
    };
    for (const file of Object.values(names)) await writeFile(join(folder, file), '');
    const longAgo = new Date(Date.now() - 25 * 3600 * 1000);
    await utimes(join(folder, names.elsewhereOld), longAgo, longAgo);
    await utimes(join(folder, names.user), longAgo, longAgo);
    expect(await removeStaleTemporaries(folder)).toEqual([names.elsewhereOld, names.ended].sort());
    expect((await readdir(folder)).sort()).toEqual([names.elsewhere, names.running, names.user].sort());
  });
});
