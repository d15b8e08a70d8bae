import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { compileProgram, startProgram } from '../../test/child-program.ts';
import { removeStaleTemporaries } from '../tensor/atomic-file.ts';
import { asFloats } from '../tensor/host-tensor.ts';
import { randomStream } from '../tensor/random.ts';
import { latestCheckpoint, listCheckpoints } from './checkpoint.ts';

/** `DUALREAL_KILLS=200 npx vitest run --project unit src/store/checkpoint-crash.test.ts` */
const KILLS = Number(process.env.DUALREAL_KILLS ?? 40);

/** Saves one checkpoint after the other and says which are done; values are the step's. */
const PROGRAM = `
  import { saveCheckpoint } from './src/store/checkpoint.ts';
  import { floats } from './src/tensor/host-tensor.ts';
  const [, , checkpointsFolder, first] = process.argv;
  for (let step = Number(first); ; step++) {
    const tensors = new Map();
    for (let i = 0; i < 400; i++) tensors.set(\`weights.\${i}\`, floats([500], new Float32Array(500).fill(step + i)));
    await saveCheckpoint({ checkpointsFolder }, { step, tensors, progress: { step } });
    console.log(step);
  }`;

describe('a process killed at a random moment while it saves', async () => {
  const root = await mkdtemp(join(tmpdir(), 'dualreal-crash-'));
  afterAll(() => rm(root, { recursive: true }));
  const program = await compileProgram(PROGRAM, join(root, 'program'));

  it(`${KILLS} times: the last good checkpoint always loads`, {
    timeout: 20_000 + KILLS * 1000,
  }, async () => {
    const checkpointsFolder = join(root, 'checkpoints');
    await mkdir(checkpointsFolder);
    const random = randomStream(1, 'kill-moments');
    let next = 1;
    let interrupted = 0;
    for (let round = 0; round < KILLS; round++) {
      const child = startProgram(program, checkpointsFolder, String(next));
      let reported = Number(await child.line());
      await setTimeout(random.uniform() * 100);
      await child.kill();
      for (;;) {
        const line = await child.line().catch(() => undefined);
        if (line === undefined) break;
        reported = Number(line);
      }
      interrupted += (await removeStaleTemporaries(checkpointsFolder)).length;

      const { checkpoint, notices } = await latestCheckpoint({ checkpointsFolder });
      expect(notices).toEqual([]);
      // The very last save may have finished without being reported.
      expect(checkpoint!.step - reported).toBeOneOf([0, 1]);
      expect(checkpoint!.progress).toEqual({ step: checkpoint!.step });
      expect(checkpoint!.tensors.size).toBe(400);
      for (let i = 0; i < 400; i++) {
        const { data } = asFloats(checkpoint!.tensors.get(`weights.${i}`)!);
        expect(data.length === 500 && data.every((value) => value === checkpoint!.step + i)).toBe(true);
      }
      const files = await listCheckpoints({ checkpointsFolder });
      expect(files.length).toBeLessThanOrEqual(3);
      expect(await readdir(checkpointsFolder)).toHaveLength(files.length);
      next = checkpoint!.step + 1;
    }
    // Many kills must have hit a save, or this test shows nothing.
    expect(interrupted).toBeGreaterThan(KILLS / 8);
  });
});
