import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { probeMedia } from '../../src/media/index.ts';
import { dualreal } from './command-line.ts';

/** The release's own sample (a dog, people playing guitar); its licences keep it out of this project. */
const SAMPLE =
  process.env.DUALREAL_SAMPLE ??
  fileURLToPath(new URL('../../../shared/data/dualreal-sample', import.meta.url));

describe('the official sample data', () => {
  if (!existsSync(SAMPLE)) {
    it.skip(`absent: no folder ${resolve(SAMPLE)} (set DUALREAL_SAMPLE to it)`, () => {});
    return;
  }
  let folder: string | undefined;
  afterAll(async () => {
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  it('passes doctor, trains and generates as it is: one-frame mp4s, MPEG-4 clips in avi', async () => {
    folder = await mkdtemp(join(tmpdir(), 'dualreal-sample-'));
    const subject = join(SAMPLE, 'identity', 'dog');
    const motion = join(SAMPLE, 'motion', 'playingGuitar');
    const shape = ['--width', '720', '--height', '480', '--frames', '49'];
    const judged = await dualreal(['doctor', subject, motion, ...shape], { cwd: folder });
    expect(judged.code, judged.stderr).toBe(0);
    expect(judged.stdout).toContain('250 frames');
    expect(judged.stdout).toContain('12.5');

    await dualreal(['base', 'init', 'base', '--size', 'tiny'], { cwd: folder });
    const trained = await dualreal(
      [
        ...['train', '--subject', subject, '--motion', motion, '--base', 'base', '--out', 'run'],
        ...['--steps', '4', '--option', 'groups=2', '--option', 'bottleneck=8'],
      ],
      { cwd: folder },
    );
    expect(trained.code, trained.stderr).toBe(0);
    expect(trained.stderr).toContain('5 photos, 4 clips');

    const made = await dualreal(
      ['generate', '--run', 'run', '--prompt', 'a dog * is playing guitar', '--steps', '2'],
      { cwd: folder },
    );
    expect(made.code, made.stderr).toBe(0);
    expect(await probeMedia(made.stdout.trim())).toMatchObject({ codec: 'h264', frameCount: 9 });
    expect(await readdir(join(folder, 'run'))).toContain('reference.png');
  });
});
