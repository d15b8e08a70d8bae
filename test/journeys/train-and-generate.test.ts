import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodePhoto, probeMedia } from '../../src/media/index.ts';
import { readAdapterFile } from '../../src/store/adapter-file.ts';
import { readEventLog } from '../../src/store/event-log.ts';
import { reshaped } from '../../src/tensor/host-tensor.ts';
import { movingDisc, writeSampleVideo } from '../media-samples.ts';
import { dualreal } from './command-line.ts';

const STEPS = 8;

/** One complete way from photos and clips to videos, over files only, on a tiny base with random weights. */
describe('train and generate', () => {
  let folder: string;
  const at = (...names: string[]) => join(folder, ...names);
  const trainArguments = (out: string) => [
    'train',
    ...['--subject', at('subject'), '--subject-prompt', 'a red disc'],
    ...['--motion', at('motion'), '--motion-prompt', 'a disc is moving'],
    ...['--base', at('base'), '--out', at(out), '--steps', String(STEPS), '--checkpoint-every', '4'],
    ...['--motion-batch', '2', '--option', 'groups=2', '--option', 'bottleneck=8'],
  ];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dualreal-journey-'));
    await mkdir(at('subject'));
    await mkdir(at('motion'));
    for (const index of [0, 1, 2]) {
      const photo = movingDisc(1, 48, 32, index);
      await encodePhoto(at('subject', `${index}.png`), reshaped(photo, photo.shape.slice(1)));
      await writeSampleVideo(at('motion', `${index}.avi`), movingDisc(20, 320, 240, index), { fps: 25 });
    }
    const made = await dualreal(['base', 'init', at('base'), '--size', 'tiny'], { cwd: folder });
    expect(made.stderr + made.stdout).toContain('random weights');
    expect(made.code).toBe(0);
    const trained = await dualreal(trainArguments('whole'), { cwd: folder });
    expect(trained.code, trained.stderr).toBe(0);
    expect(trained.stderr).toContain('predicted:');
  });

  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it('leaves a complete run: adapters with their recipe, events, checkpoints', async () => {
    const { recipe, shape } = await readAdapterFile(at('whole', 'adapter.safetensors'));
    expect(shape).toMatchObject({ bottleneck: 8, groups: 2 });
    expect(recipe).toMatchObject({ preset: 'official', training: { steps: STEPS, seed: 42 } });
    const { events } = await readEventLog(at('whole', 'events.jsonl'));
    const steps = events.filter((event) => event.type === 'step');
    expect(steps.map((event) => event.step)).toEqual(Array.from({ length: STEPS }, (_, i) => i + 1));
    for (const step of steps) {
      expect(step.identityWeights).toBeInstanceOf(Array);
      expect(step.timesteps).toBeInstanceOf(Array);
    }
  });

  it('generates an mp4 that plays, a contact sheet and the request, and does not make them twice', async () => {
    const args = [
      ...['generate', '--run', at('whole'), '--prompt', 'a red disc is moving', '--steps', '3'],
      ...['--seed', '7', '--count', '2'],
    ];
    const first = await dualreal(args, { cwd: folder });
    expect(first.code, first.stderr).toBe(0);
    const videos = first.stdout.trim().split('\n');
    expect(videos).toHaveLength(2);
    for (const video of videos) {
      expect(await probeMedia(video)).toMatchObject({ codec: 'h264', frameCount: 9 });
      const output = video.replace(/\/video\.mp4$/, '');
      for (const file of ['sheet.png', 'request.json', 'events.jsonl', 'latents.safetensors']) {
        expect(existsSync(join(output, file)), file).toBe(true);
      }
    }
    const before = await readFile(videos[0]);
    const again = await dualreal(args, { cwd: folder });
    expect(again.stderr).toContain('already there');
    expect(await readFile(videos[0])).toEqual(before);
  });

  it('takes up saved latents: the decoded video is the same', async () => {
    const args = [
      'generate',
      '--run',
      at('whole'),
      '--prompt',
      'a disc',
      '--steps',
      '2',
      '--out',
      at('videos'),
    ];
    const first = await dualreal(args, { cwd: folder });
    const video = first.stdout.trim();
    const before = await readFile(video);
    await rm(video);
    const again = await dualreal(args, { cwd: folder });
    expect(again.stderr).not.toContain('denoising');
    expect(await readFile(video)).toEqual(before);
  });

  it('resumes bit for bit: N + N steps give what 2N give', async () => {
    const paused = await dualreal([...trainArguments('halves'), '--stop-after', '4'], { cwd: folder });
    expect(paused.code).toBe(130);
    expect(paused.stderr).toContain('--resume');
    expect(existsSync(at('halves', 'adapter.safetensors'))).toBe(false);
    const resumed = await dualreal(['train', '--resume', at('halves')], { cwd: folder });
    expect(resumed.code, resumed.stderr).toBe(0);
    for (const file of ['adapter.safetensors', 'checkpoints/step-00000008.safetensors']) {
      expect(await sha256(at('halves', file)), file).toBe(await sha256(at('whole', file)));
    }
    expect(await losses('halves')).toEqual(await losses('whole'));
  });

  it('Ctrl-C saves and says how to go on', async () => {
    // More steps than any machine takes before the signal arrives.
    let sent = false;
    const args = [...trainArguments('interrupted'), '--steps', '200000', '--checkpoint-every', '100000'];
    const ended = await dualreal(args, {
      cwd: folder,
      onOutput: (stderr, kill) => {
        if (sent || !/training .* \d+\/200000/.test(stderr)) return;
        sent = true;
        kill('SIGINT');
      },
    });
    expect(ended.code).toBe(130);
    expect(ended.stderr).toMatch(/stopped; go on with: dualreal train --resume/);
    const step = Number(/saved step (\d+) of 200000/.exec(ended.stderr)![1]);
    expect(
      existsSync(at('interrupted', 'checkpoints', `step-${String(step).padStart(8, '0')}.safetensors`)),
    ).toBe(true);
  });

  it('refuses broken input by name and keeps what is there', async () => {
    await mkdir(at('broken'));
    await writeFile(at('broken', 'clip.mp4'), 'this is no video');
    const bad = await dualreal([...trainArguments('bad'), '--motion', at('broken')], { cwd: folder });
    expect(bad.code).toBe(1);
    expect(bad.stderr).toContain('clip.mp4');
    const taken = await dualreal(trainArguments('whole'), { cwd: folder });
    expect(taken.code).toBe(1);
    expect(taken.stderr).toContain('--resume');
  });

  async function sha256(path: string): Promise<string> {
    return createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
  }

  async function losses(run: string): Promise<unknown[]> {
    const { events } = await readEventLog(at(run, 'events.jsonl'));
    return events
      .filter((event) => event.type === 'step')
      .map((event) => [event.step, event.phase, event.loss]);
  }
});
