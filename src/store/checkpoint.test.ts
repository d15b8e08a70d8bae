import { spawnSync } from 'node:child_process';
import { rmdirSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FileFormatError } from '../tensor/errors.ts';
import { floats, type HostTensor, hostTensor, integers, zeros } from '../tensor/host-tensor.ts';
import { randomStream } from '../tensor/random.ts';
import { latestCheckpoint, listCheckpoints, readCheckpoint, saveCheckpoint } from './checkpoint.ts';
import { StorageFullError } from './storage-error.ts';

let checkpointsFolder: string;
beforeEach(async () => {
  checkpointsFolder = await mkdtemp(join(tmpdir(), 'dualreal-checkpoint-'));
});
afterEach(() => rm(checkpointsFolder, { recursive: true }));

const tensorsOf = (step: number): Map<string, HostTensor> => {
  const random = randomStream(step, 'checkpoint-test');
  return new Map<string, HostTensor>([
    ['controller.norm.weight', floats([3, 4], random.normals(12))],
    ['optimizer/controller.norm.weight.exp_avg', floats([3, 4], random.normals(12))],
    ['average/controller.norm.weight', hostTensor('bf16', [2], Uint16Array.of(1, 65535))],
    ['optimizer/steps', integers([], [step])],
    ['7', zeros('f32', [0, 5])],
    ['6', zeros('f32', [0])],
  ]);
};
const progressOf = (step: number) => ({ losses: [0.1, 1 / 3, step], note: 'ü', nested: { phase: 'motion' } });
const save = (step: number, keep?: number) =>
  saveCheckpoint(
    { checkpointsFolder },
    { step, tensors: tensorsOf(step), progress: progressOf(step) },
    keep === undefined ? {} : { keep },
  );

describe('a checkpoint', () => {
  it('comes back bit for bit, whatever the dtype and shape', async () => {
    const file = await save(1000);
    expect(file.path).toBe(join(checkpointsFolder, 'step-00001000.safetensors'));
    expect(await readdir(checkpointsFolder)).toEqual(['step-00001000.safetensors']);
    const { checkpoint, notices } = await latestCheckpoint({ checkpointsFolder });
    expect(notices).toEqual([]);
    expect(checkpoint!.step).toBe(1000);
    expect(checkpoint!.progress).toEqual(progressOf(1000));
    expect(new Map([...checkpoint!.tensors].sort())).toEqual(new Map([...tensorsOf(1000)].sort()));
  });

  it('equal states give equal files', async () => {
    const { path } = await save(5);
    const before = await readFile(path);
    await save(5);
    expect(await readFile(path)).toEqual(before);
  });

  it('is refused where progress holds NaN or the step is no step, and nothing is written', async () => {
    const tensors = tensorsOf(1);
    const state = { step: 1, tensors, progress: { loss: Number.NaN } };
    await expect(saveCheckpoint({ checkpointsFolder }, state)).rejects.toThrow('progress.loss');
    for (const step of [-1, 1.5, Number.NaN, 1e15]) {
      await expect(saveCheckpoint({ checkpointsFolder }, { step, tensors, progress: {} })).rejects.toThrow(
        /whole number/,
      );
    }
    await expect(save(1, 0)).rejects.toThrow(/checkpoints to keep/);
    expect(await readdir(checkpointsFolder)).toEqual([]);
  });
});

describe('keeping', () => {
  it('the newest two by default, or as many as asked for', async () => {
    for (const step of [10, 9999, 123_456_789, 20]) await save(step);
    // 20 was saved last: nothing newer than it is touched.
    const steps = async () => (await listCheckpoints({ checkpointsFolder })).map(({ step }) => step);
    expect(await steps()).toEqual([20, 9999, 123_456_789]);
    await save(123_456_790, 1);
    expect(await steps()).toEqual([123_456_790]);
    for (const step of [1, 2, 3]) await save(step, 3);
    expect(await steps()).toEqual([1, 2, 3, 123_456_790]);
  });

  it('leaves other files alone', async () => {
    for (const name of ['notes.txt', 'step-1.safetensors', 'step-00000001.safetensors.bak']) {
      await writeFile(join(checkpointsFolder, name), 'mine');
    }
    await mkdir(join(checkpointsFolder, 'step-00000002.safetensors'));
    for (const step of [5, 6, 7]) await save(step, 1);
    expect((await readdir(checkpointsFolder)).sort()).toEqual([
      'notes.txt',
      'step-00000001.safetensors.bak',
      'step-00000002.safetensors',
      'step-00000007.safetensors',
      'step-1.safetensors',
    ]);
  });
});

describe('damage', () => {
  it('every flipped byte of the file is detected', async () => {
    const tensors = new Map([
      ['a', floats([2], [1, 2])],
      ['b', floats([1], [3])],
    ]);
    const file = await saveCheckpoint({ checkpointsFolder }, { step: 3, tensors, progress: { loss: 0.5 } });
    const bytes = await readFile(file.path);
    for (let position = 0; position < bytes.byteLength; position++) {
      const changed = Buffer.from(bytes);
      changed[position] ^= 1 << (position % 8);
      await writeFile(file.path, changed);
      await expect(readCheckpoint(file), `byte ${position}`).rejects.toThrow(FileFormatError);
    }
  });

  it('a damaged newer one is reported and the one before is used', async () => {
    await save(100);
    const { path } = await save(200);
    const file = await open(path, 'r+');
    const { size } = await file.stat();
    await file.write(Uint8Array.of(1), 0, 1, size - 1);
    await file.close();
    const { checkpoint, notices } = await latestCheckpoint({ checkpointsFolder });
    expect(checkpoint!.step).toBe(100);
    expect(notices).toEqual([expect.stringMatching(/checkpoint of step 200 is damaged.*checksum/s)]);
    // Going on from step 100 with keep 1 must not lose the good one for the damaged one.
    await save(150, 1);
    expect((await latestCheckpoint({ checkpointsFolder })).checkpoint!.step).toBe(150);
    await save(200, 1);
    expect(await latestCheckpoint({ checkpointsFolder })).toMatchObject({
      checkpoint: { step: 200 },
      notices: [],
    });
  });

  it('cut off, empty, renamed or of another kind: passed over, each with a notice', async () => {
    const { path } = await save(10);
    const bytes = await readFile(path);
    const place = (step: string) => join(checkpointsFolder, `step-${step}.safetensors`);
    await writeFile(place('00000020'), bytes.subarray(0, bytes.byteLength - 5));
    await writeFile(place('00000030'), '');
    await copyFile(path, place('00000040'));
    await writeFile(place('00000050'), 'not a checkpoint at all');
    const { checkpoint, notices } = await latestCheckpoint({ checkpointsFolder });
    expect(checkpoint!.step).toBe(10);
    expect(notices.map((notice) => /step (\d+)/.exec(notice)![1])).toEqual(['50', '40', '30', '20']);
  });

  it('none left: no checkpoint, and the reasons', async () => {
    const { path } = await save(1);
    await writeFile(path, 'x');
    expect(await latestCheckpoint({ checkpointsFolder })).toEqual({
      checkpoint: undefined,
      notices: [expect.stringMatching(/step 1 is damaged/)],
    });
    await rename(path, `${path}.old`);
    expect(await latestCheckpoint({ checkpointsFolder })).toEqual({ checkpoint: undefined, notices: [] });
  });
});

describe('a full disk', () => {
  const large = new Map([['weights', zeros('f32', [1 << 20])]]);

  it('keeps the old checkpoint and leaves nothing half-written (write fails with ENOSPC)', async () => {
    await save(1);
    const file = await open(join(checkpointsFolder, 'probe'), 'w');
    const prototype = Object.getPrototypeOf(file) as { write: (...args: unknown[]) => Promise<unknown> };
    await file.close();
    await rm(join(checkpointsFolder, 'probe'));
    const { write } = prototype;
    let calls = 0;
    prototype.write = function (...args) {
      calls++;
      if (calls < 2) return write.apply(this, args);
      return Promise.reject(
        Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }),
      );
    };
    try {
      const saving = saveCheckpoint({ checkpointsFolder }, { step: 2, tensors: large, progress: {} });
      await expect(saving).rejects.toThrow(StorageFullError);
      await expect(saving).rejects.toThrow(/room for 4\.0 MiB[\s\S]*what was saved before is untouched/);
    } finally {
      prototype.write = write;
    }
    expect(calls).toBe(2);
    expect(await readdir(checkpointsFolder)).toEqual(['step-00000001.safetensors']);
    expect((await latestCheckpoint({ checkpointsFolder })).checkpoint!.step).toBe(1);
  });

  it('keeps the old checkpoint (a disk of 2 MiB)', async ({ skip }) => {
    const mounted = mountSmallDisk();
    if (mounted === undefined)
      return skip('this process may not mount a disk; the test above covers the rest');
    const small = { checkpointsFolder: mounted };
    try {
      await saveCheckpoint(small, { step: 1, tensors: tensorsOf(1), progress: {} });
      const saving = saveCheckpoint(small, { step: 2, tensors: large, progress: {} });
      await expect(saving).rejects.toThrow(StorageFullError);
      expect(await readdir(mounted)).toEqual(['step-00000001.safetensors']);
      expect((await latestCheckpoint(small)).checkpoint!.step).toBe(1);
    } finally {
      spawnSync('umount', [mounted]);
      await rm(mounted, { recursive: true });
    }
  });
});

/** The folder of a freshly mounted 2 MiB disk, undefined where this process may not mount one. */
function mountSmallDisk(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return undefined;
  const made = spawnSync('mktemp', ['-d'], { encoding: 'utf8' }).stdout.trim();
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', made]);
  if (status === 0) return made;
  rmdirSync(made);
  return undefined;
}
