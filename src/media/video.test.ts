import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { movingDisc, writeSampleVideo } from '../../test/media-samples.ts';
import { CancelledError } from '../tensor/errors.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import { decodePhoto, decodeVideo } from './decode.ts';
import { encodeVideo } from './encode.ts';
import { MediaError } from './errors.ts';
import { findFfmpeg } from './ffmpeg-program.ts';
import { fitFrames } from './fit.ts';
import { loadMedia } from './load.ts';
import { probeMedia } from './probe.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualreal-video-'));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

const disc = movingDisc(60, 320, 240);

/** Mean squared error as peak signal-to-noise ratio, in dB. */
function psnr(a: HostTensor<'u8'>, b: HostTensor<'u8'>): number {
  let sum = 0;
  for (let i = 0; i < a.data.length; i++) sum += (a.data[i] - b.data[i]) ** 2;
  return 10 * Math.log10((255 * 255 * a.data.length) / sum);
}

/** Like toEqual on the pixels, but fast on millions of them. */
function expectSame(a: HostTensor<'u8'>, b: HostTensor<'u8'>): void {
  expect(a.shape).toEqual(b.shape);
  expect(Buffer.compare(a.data, b.data)).toBe(0);
}

function frameRange(frames: HostTensor<'u8'>, start: number, count: number): HostTensor<'u8'> {
  const [, height, width] = frames.shape;
  const size = height * width * 3;
  const data = frames.data.slice(start * size, (start + count) * size);
  return { dtype: 'u8', shape: [count, height, width, 3], data };
}

const native = (await findFfmpeg({ PATH: process.env.PATH ?? '' })).kind === 'native';

beforeAll(async () => {
  await writeSampleVideo(at('clip.avi'), disc, { fps: 25 });
  await writeSampleVideo(at('photo.mp4'), frameRange(movingDisc(1, 720, 480), 0, 1), { fps: 1 });
  await writeSampleVideo(at('clip.mkv'), frameRange(disc, 0, 30), {
    fps: 29.97,
    output: ['-c:v', 'libx264'],
  });
});

// Without a system ffmpeg both runs use the WebAssembly build.
describe.each([native ? 'native' : 'default', 'wasm'])('ffmpeg: %s', (kind) => {
  beforeEach(() => {
    vi.stubEnv('DUALREAL_FFMPEG', kind === 'wasm' ? 'wasm' : '');
  });
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  it('probes by decoding: official motion clips, official one-frame photos, other containers', async () => {
    expect(await probeMedia(at('clip.avi'))).toEqual({
      path: at('clip.avi'),
      kind: 'clip',
      codec: 'mpeg4',
      width: 320,
      height: 240,
      fps: 25,
      frameCount: 60,
      durationS: 2.4,
      variableFrameRate: false,
      notes: [],
      complaints: [],
    });
    expect(await probeMedia(at('photo.mp4'))).toMatchObject({
      kind: 'photo',
      frameCount: 1,
      fps: 1,
      durationS: 1,
    });
    expect(await probeMedia(at('clip.mkv'))).toMatchObject({ codec: 'h264', fps: 29.97, frameCount: 30 });
  });

  it('decodes all frames, in order, with their times', async () => {
    const clip = await decodeVideo(at('clip.avi'));
    expect(clip).toMatchObject({
      fps: 25,
      frameCount: 60,
      complete: true,
      width: 320,
      height: 240,
      complaints: [],
    });
    expect(clip.timesS).toEqual(Array.from({ length: 60 }, (_, i) => (i * 40) / 1000));
    expect(psnr(clip.frames, disc)).toBeGreaterThan(30);
  });

  it('decodes a range, the same pixels as of the whole', async () => {
    const all = await decodeVideo(at('clip.avi'));
    const part = await decodeVideo(at('clip.avi'), { startFrame: 7, maxFrames: 9 });
    expectSame(part.frames, frameRange(all.frames, 7, 9));
    expect(part).toMatchObject({ frameCount: 16, complete: false, durationS: 2.4 });
    const seconds = await decodeVideo(at('clip.avi'), { startFrame: 10, maxDurationS: 0.4 });
    expect(seconds.frames.shape[0]).toBe(10);
    expect((await decodeVideo(at('clip.avi'), { startFrame: 55, maxFrames: 49 })).frames.shape[0]).toBe(5);
    await expect(decodeVideo(at('clip.avi'), { startFrame: 60 })).rejects.toThrow(/more than 60 frames/);
  });

  it('lets the decoder scale', async () => {
    const clip = await decodeVideo(at('clip.avi'), { maxFrames: 2, size: { width: 720, height: 480 } });
    expect(clip.frames.shape).toEqual([2, 480, 720, 3]);
    expect(
      psnr(clip.frames, fitFrames(frameRange(disc, 0, 2), { width: 720, height: 480 }, 'stretch')),
    ).toBeGreaterThan(28);
  });

  it('takes one-frame videos as photos and refuses clips there', async () => {
    const photo = await decodePhoto(at('photo.mp4'));
    expect(photo.image.shape).toEqual([480, 720, 3]);
    await expect(decodePhoto(at('clip.avi'))).rejects.toThrow(/several frames/);
  });

  it('writes mp4 files that come back as they were', async () => {
    await encodeVideo(at('out.mp4'), frameRange(disc, 0, 9), {
      fps: 8,
      comment: '{"seed": 7, "prompt": "a; b=c #ü\\n"}',
    });
    const facts = await probeMedia(at('out.mp4'));
    expect(facts).toMatchObject({
      codec: 'h264',
      fps: 8,
      frameCount: 9,
      width: 320,
      height: 240,
      durationS: 1.125,
    });
    const back = await decodeVideo(at('out.mp4'));
    expect(psnr(back.frames, frameRange(disc, 0, 9))).toBeGreaterThan(33);
    const bytes = readFileSync(at('out.mp4')).toString('latin1');
    expect(bytes.indexOf('moov')).toBeLessThan(bytes.indexOf('mdat'));
    expect(readFileSync(at('out.mp4')).toString('utf8')).toContain('{"seed": 7, "prompt": "a; b=c #ü\\n"}');
  });

  it('stops when cancelled', async () => {
    await expect(probeMedia(at('clip.avi'), { signal: AbortSignal.timeout(5) })).rejects.toThrow(
      CancelledError,
    );
  });

  it('opens what it was given and nothing else', async () => {
    const secret = at('secret.txt');
    writeFileSync(secret, 'do not read');
    writeFileSync(at('playlist.mp4'), `#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n${secret}\n`);
    writeFileSync(at('concat.mp4'), `ffconcat version 1.0\nfile '${secret}'\n`);
    for (const name of ['playlist.mp4', 'concat.mp4']) {
      await expect(probeMedia(at(name))).rejects.toThrow(/refers to other files/);
    }
    copyFileSync(at('clip.avi'), at('-i concat:a|b %03d.avi'));
    expect((await probeMedia(at('-i concat:a|b %03d.avi'))).frameCount).toBe(60);
  });
});

it('the WebAssembly build decodes the same pixels', async () => {
  const decode = async (setting: string) => {
    vi.stubEnv('DUALREAL_FFMPEG', setting);
    const clip = await decodeVideo(at('clip.avi'), { maxFrames: 5, size: { width: 90, height: 60 } });
    vi.unstubAllEnvs();
    return clip.frames;
  };
  expect(psnr(await decode(''), await decode('wasm'))).toBeGreaterThan(45);
});

describe('encodeVideo', () => {
  it('makes odd sides even by repeating the edge, and enlarges tiny videos', async () => {
    await encodeVideo(at('odd.mp4'), movingDisc(3, 33, 21), { fps: 8 });
    expect(await probeMedia(at('odd.mp4'))).toMatchObject({ width: 34, height: 22 });
    const { frames } = await decodeVideo(at('odd.mp4'));
    const lastRows = [20, 21].map((y) => frames.data[(y * 34 + 5) * 3 + 1]);
    expect(Math.abs(lastRows[0] - lastRows[1])).toBeLessThan(12);
    await encodeVideo(at('big.mp4'), movingDisc(3, 32, 20), {
      fps: 8,
      upscale: { factor: 4, filter: 'nearest' },
    });
    expect(await probeMedia(at('big.mp4'))).toMatchObject({ width: 128, height: 80 });
    await encodeVideo(at('smooth.mp4'), movingDisc(3, 32, 20), {
      fps: 8,
      upscale: { factor: 2, filter: 'lanczos' },
    });
    expect(await probeMedia(at('smooth.mp4'))).toMatchObject({ width: 64, height: 40 });
  });

  it('keeps colours', async () => {
    const colours = [
      [255, 0, 0],
      [0, 255, 0],
      [0, 0, 255],
      [255, 255, 255],
      [0, 0, 0],
      [200, 150, 90],
    ];
    for (const [index, colour] of colours.entries()) {
      const frame: HostTensor<'u8'> = {
        dtype: 'u8',
        shape: [1, 16, 16, 3],
        data: Uint8Array.from({ length: 768 }, (_, i) => colour[i % 3]),
      };
      const path = at(`colour-${index}.mp4`);
      await encodeVideo(path, frame, { fps: 1, crf: 4 });
      const { image } = await decodePhoto(path);
      colour.forEach((value, channel) => {
        expect(Math.abs(image.data[(8 * 16 + 8) * 3 + channel] - value)).toBeLessThanOrEqual(4);
      });
    }
  });

  it('gives the same file for the same frames', async () => {
    for (const name of ['one.mp4', 'two.mp4'])
      await encodeVideo(at(name), frameRange(disc, 0, 5), { fps: 8 });
    expect(readFileSync(at('one.mp4')).equals(readFileSync(at('two.mp4')))).toBe(true);
  });

  it('leaves nothing and keeps the old file when it fails', async () => {
    writeFileSync(at('kept.mp4'), 'old');
    const before = readdirSync(folder);
    const frames = movingDisc(2, 16, 16);
    for (const options of [
      { fps: 0 },
      { fps: 8, crf: 99 },
      { fps: 8, comment: 'x'.repeat(70_000) },
      { fps: 8, comment: '\0' },
    ]) {
      await expect(encodeVideo(at('kept.mp4'), frames, options)).rejects.toThrow(MediaError);
    }
    const signal = AbortSignal.abort();
    await expect(encodeVideo(at('kept.mp4'), frames, { fps: 8, signal })).rejects.toThrow(CancelledError);
    await expect(encodeVideo(at('no/such/folder.mp4'), frames, { fps: 8 })).rejects.toThrow(/ENOENT/);
    expect(readFileSync(at('kept.mp4'), 'utf8')).toBe('old');
    expect(readdirSync(folder)).toEqual(before);
  });
});

describe('loadMedia', () => {
  const selection = { maxFrames: 49, fps: 'native', temporalRatio: 4 } as const;
  const size = { width: 72, height: 48 };

  it('official: the first 49 frames, stretched by the decoder', async () => {
    const loaded = await loadMedia(at('clip.avi'), { size, fit: 'stretch', selection });
    expect(loaded.frames.shape).toEqual([49, 48, 72, 3]);
    expect(loaded.fps).toBe(25);
    const direct = await decodeVideo(at('clip.avi'), { maxFrames: 49, size });
    expectSame(loaded.frames, direct.frames);
  });

  it('keeps the aspect where asked, and drops what exceeds 4k + 1', async () => {
    const crop = await loadMedia(at('clip.avi'), {
      size,
      fit: 'crop',
      selection: { ...selection, maxFrames: 8 },
    });
    expect(crop.frames.shape).toEqual([5, 48, 72, 3]);
    const pad = await loadMedia(at('clip.avi'), {
      size,
      fit: 'pad',
      selection: { ...selection, maxFrames: 1 },
    });
    expect([...pad.frames.data.slice(0, 3)]).toEqual([0, 0, 0]);
  });

  it('resamples to a frame rate', async () => {
    const loaded = await loadMedia(at('clip.avi'), {
      size,
      fit: 'stretch',
      selection: { ...selection, maxFrames: 17, fps: 8 },
    });
    expect(loaded).toMatchObject({ fps: 8, frames: { shape: [17, 48, 72, 3] } });
    const all = await decodeVideo(at('clip.avi'), { size });
    expectSame(frameRange(loaded.frames, 16, 1), frameRange(all.frames, 50, 1));
  });

  it('takes photos as one frame', async () => {
    const loaded = await loadMedia(at('photo.mp4'), {
      size,
      fit: 'crop',
      selection: { ...selection, fps: 8 },
    });
    expect(loaded.frames.shape).toEqual([1, 48, 72, 3]);
  });
});

it('follows the rotation that phones write', async () => {
  await writeSampleVideo(at('flat.mp4'), movingDisc(3, 64, 32), { fps: 25, output: ['-c:v', 'libx264'] });
  const bytes = readFileSync(at('flat.mp4'));
  const matrix = bytes.indexOf('tkhd') + 4 + 40;
  const quarterTurn = [0, 65536, 0, -65536, 0, 0, 0, 0, 0x40000000];
  quarterTurn.forEach((value, index) => {
    bytes.writeInt32BE(value, matrix + index * 4);
  });
  writeFileSync(at('turned.mp4'), bytes);
  expect(await probeMedia(at('flat.mp4'))).toMatchObject({ width: 64, height: 32 });
  expect(await probeMedia(at('turned.mp4'))).toMatchObject({ width: 32, height: 64 });
  expect((await decodeVideo(at('turned.mp4'))).frames.shape).toEqual([3, 64, 32, 3]);
});
