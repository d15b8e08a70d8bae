import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { movingDisc, writeSampleVideo } from '../../test/media-samples.ts';
import { randomStream } from '../tensor/random.ts';
import { decodeVideo } from './decode.ts';
import { MediaError } from './errors.ts';
import { probeMedia } from './probe.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualreal-broken-'));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);
const write = (name: string, bytes: Uint8Array | string) => writeFileSync(at(name), bytes);

beforeAll(async () => {
  const disc = movingDisc(40, 96, 64);
  await writeSampleVideo(at('ok.avi'), disc, { fps: 25 });
  await writeSampleVideo(at('ok.mp4'), disc, { fps: 25 });
  await writeSampleVideo(at('ok-front.mp4'), disc, {
    fps: 25,
    output: ['-c:v', 'libx264', '-crf', '10', '-movflags', '+faststart'],
  });
  await writeSampleVideo(at('no-frames.mp4'), disc, { fps: 25, output: ['-t', '0', '-c:v', 'mpeg4'] });
  for (const name of ['ok.avi', 'ok.mp4', 'ok-front.mp4']) {
    const bytes = readFileSync(at(name));
    write(name.replace('ok', 'cut'), bytes.subarray(0, bytes.length >> 1));
    write(name.replace('ok', 'stub'), bytes.subarray(0, 40));
  }
  const noisy = readFileSync(at('ok.avi'));
  for (let i = noisy.length >> 1; i < noisy.length; i += 199) noisy[i] ^= 0x55;
  write('noise.avi', noisy);
  write('empty.mp4', '');
  write('text.mp4', 'this is a text\n'.repeat(200));
  write('text.avi', 'this is a text\n'.repeat(200));
  write('zeros.mp4', new Uint8Array(10_000));
  write('huge.mp4', 'YUV4MPEG2 W60000 H60000 F25:1 Ip A1:1 C420jpeg\nFRAME\n');
  write('large.mp4', 'YUV4MPEG2 W8000 H8000 F25:1 Ip A1:1 C420jpeg\nFRAME\n');
  mkdirSync(at('folder.mp4'));
});

describe('refused, naming the file and the reason', () => {
  it.each([
    ['missing.mp4', /no such file/],
    ['folder.mp4', /a folder/],
    ['empty.mp4', /an empty file/],
    ['text.mp4', /not a video at all/],
    ['text.avi', /not a (readable )?video/],
    ['zeros.mp4', /got/],
    ['no-frames.mp4', /no video stream|at least one frame/],
    ['cut.mp4', /cut off/],
    ['stub.mp4', /cut off|at least one frame/],
    ['stub.avi', /got/],
    ['huge.mp4', /pixel limit/],
    ['large.mp4', /pixel limit/],
  ])('%s', async (name, reason) => {
    for (const work of [probeMedia, decodeVideo]) {
      const error = await work(at(name)).then(
        () => expect.fail('was accepted'),
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(MediaError);
      expect((error as MediaError).message).toContain(at(name));
      expect((error as MediaError).message).toMatch(reason);
    }
  });

  it('a named pipe does not block', async () => {
    if (process.platform === 'win32') return;
    execFileSync('mkfifo', [at('fifo.mp4')]);
    await expect(probeMedia(at('fifo.mp4'))).rejects.toThrow(/not a plain file/);
  });

  it('what exceeds a limit', async () => {
    await expect(probeMedia(at('ok.avi'), { limits: { maxPixels: 1000 } })).rejects.toThrow(/pixel limit/);
    await expect(probeMedia(at('ok.avi'), { limits: { maxFrames: 39 } })).rejects.toThrow(
      /at most 39 frames/,
    );
    await expect(decodeVideo(at('ok.avi'), { limits: { maxFrames: 39 } })).rejects.toThrow(
      /at most 39 frames/,
    );
    await expect(decodeVideo(at('ok.avi'), { limits: { maxDecodedBytes: 2 ** 18 } })).rejects.toThrow(
      /in memory/,
    );
    expect((await probeMedia(at('ok.avi'), { limits: { maxFrames: 40 } })).frameCount).toBe(40);
  });
});

describe('damaged but readable', () => {
  it.each(['noise.avi', 'cut-front.mp4'])(
    '%s: probing tells, decoding refuses unless told to accept',
    async (name) => {
      const facts = await probeMedia(at(name));
      expect(facts.complaints.length).toBeGreaterThan(0);
      await expect(decodeVideo(at(name))).rejects.toThrow(/an undamaged clip/);
      const accepted = await decodeVideo(at(name), { acceptDamage: true });
      expect(accepted.frames.shape[0]).toBe(accepted.frameCount);
      expect(accepted.complaints.length).toBeGreaterThan(0);
    },
  );

  it('the intact beginning of a cut clip can be used', async () => {
    expect((await probeMedia(at('cut.avi'))).frameCount).toBeLessThan(40);
    expect((await decodeVideo(at('cut.avi'), { maxFrames: 5 })).frames.shape[0]).toBe(5);
  });

  it('any change of bytes gives frames or a MediaError, soon', async () => {
    const stream = randomStream(11, 'mutations');
    for (let trial = 0; trial < 10; trial++) {
      const name = stream.pick(['ok.avi', 'ok.mp4', 'ok-front.mp4']);
      const bytes = Uint8Array.from(readFileSync(at(name)));
      // Mostly in the structures at both ends, where the lengths and counts are.
      for (let change = 0; change < 8; change++) {
        const near = stream.integer(Math.min(bytes.length, 2000));
        bytes[stream.integer(2) === 0 ? near : bytes.length - 1 - near] = stream.integer(256);
      }
      const path = at(`mutated-${trial}-${name}`);
      writeFileSync(path, bytes);
      const limits = { timeoutMs: 10_000 };
      const outcome = await decodeVideo(path, { acceptDamage: true, limits }).catch(
        (error: unknown) => error,
      );
      if (outcome instanceof Error) expect(outcome).toBeInstanceOf(MediaError);
      else expect((outcome as { frameCount: number }).frameCount).toBeGreaterThan(0);
    }
  });
});
