import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, describe, expect, it } from 'vitest';
import { movingDisc, pngHeader, writeSampleVideo } from '../../test/media-samples.ts';
import { hostTensor } from '../tensor/host-tensor.ts';
import { decodePhoto, decodeVideo } from './decode.ts';
import { encodeAnimation, encodePhoto } from './encode.ts';
import { MediaError } from './errors.ts';
import { decodeOpacity } from './picture.ts';
import { probeMedia } from './probe.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualreal-picture-'));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

/** Left half red, right half blue, 8 wide and 4 high. */
const halves = () => {
  const pixels = Buffer.alloc(8 * 4 * 3);
  for (let i = 0; i < 32; i++) pixels[i * 3 + (i % 8 < 4 ? 0 : 2)] = 255;
  return sharp(pixels, { raw: { width: 8, height: 4, channels: 3 } });
};

describe('photos', () => {
  it.each(['png', 'webp', 'jpeg'] as const)('%s', async (format) => {
    const path = at(`halves-${format}.jpg`);
    const encoded = { png: halves().png(), webp: halves().webp({ lossless: true }), jpeg: halves().jpeg() }[
      format
    ];
    await encoded.toFile(path);
    const facts = await probeMedia(path);
    expect(facts).toMatchObject({
      kind: 'photo',
      codec: format,
      width: 8,
      height: 4,
      frameCount: 1,
      fps: 0,
      notes: [],
    });
    const photo = await decodePhoto(path);
    expect(photo.image.shape).toEqual([4, 8, 3]);
    if (format !== 'jpeg') expect([...photo.image.data.slice(0, 3)]).toEqual([255, 0, 0]);
  });

  it('round trip through our own PNG writer', async () => {
    const image = hostTensor('u8', [5, 7, 3], movingDisc(1, 7, 5).data);
    await encodePhoto(at('own.png'), image);
    expect((await decodePhoto(at('own.png'))).image).toEqual(image);
  });

  it('turns pictures upright', async () => {
    await halves().withMetadata({ orientation: 6 }).png().toFile(at('turned.png'));
    expect(await probeMedia(at('turned.png'))).toMatchObject({
      width: 4,
      height: 8,
      notes: ['turned upright by its EXIF orientation'],
    });
    const { image } = await decodePhoto(at('turned.png'));
    expect(image.shape).toEqual([8, 4, 3]);
    expect([...image.data.slice(0, 3)]).toEqual([255, 0, 0]);
    expect([...image.data.slice(-3)]).toEqual([0, 0, 255]);
  });

  it('shows transparent parts on white, and says so only where there are some', async () => {
    const clear = { r: 0, g: 0, b: 0, alpha: 0 };
    await sharp({ create: { width: 3, height: 3, channels: 4, background: clear } })
      .png()
      .toFile(at('clear.png'));
    const photo = await decodePhoto(at('clear.png'));
    expect(photo.notes).toEqual(['transparent parts are shown on white']);
    expect(photo.image.data.every((byte) => byte === 255)).toBe(true);
    await halves().ensureAlpha().png().toFile(at('opaque.png'));
    expect((await decodePhoto(at('opaque.png'))).notes).toEqual([]);
  });

  it('takes the numbers as they are unless told to apply the colour profile', async () => {
    await halves().withIccProfile('p3').png().toFile(at('wide.png'));
    const stored = await sharp(at('wide.png'), { ignoreIcc: true }).raw().toBuffer();
    const plain = await decodePhoto(at('wide.png'));
    expect([...plain.image.data]).toEqual([...stored]);
    expect(plain.notes).toEqual(['its colour profile is not sRGB and is ignored']);
    const applied = await decodePhoto(at('wide.png'), { colourProfile: 'apply' });
    expect(applied.notes).toEqual(['converted to sRGB by its colour profile']);
    expect([...applied.image.data]).not.toEqual([...stored]);
    await halves().withIccProfile('srgb').png().toFile(at('standard.png'));
    expect((await decodePhoto(at('standard.png'))).notes).toEqual([]);
  });

  it('reads grey, 16-bit and palette pictures as 8-bit RGB', async () => {
    await halves().greyscale().png().toFile(at('grey.png'));
    await halves().toColourspace('rgb16').png().toFile(at('deep.png'));
    await halves().png({ palette: true }).toFile(at('palette.png'));
    for (const name of ['grey.png', 'deep.png', 'palette.png']) {
      expect((await decodePhoto(at(name))).image.shape).toEqual([4, 8, 3]);
    }
    expect([...(await decodePhoto(at('deep.png'))).image.data.slice(0, 3)]).toEqual([255, 0, 0]);
  });
});

describe('opacity', () => {
  /** 4 × 2 pixels, the left half see-through, stored lying on its side. */
  const sideways = (file: string) =>
    sharp(Buffer.from(Array.from({ length: 8 }, (_, i) => [9, 9, 9, i % 4 < 2 ? 0 : 200]).flat()), {
      raw: { width: 4, height: 2, channels: 4 },
    })
      .withMetadata({ orientation: 6 })
      .png()
      .toFile(file);

  it('is grey as the picture is shown: turned upright', async () => {
    const file = at('opacity.png');
    await sideways(file);
    const grey = (await decodeOpacity(file))!;
    expect(grey.shape).toEqual([4, 2, 3]);
    expect([...grey.data]).toEqual([...new Array(12).fill(0), ...new Array(12).fill(200)]);
    expect((await decodePhoto(file)).image.shape).toEqual(grey.shape);
  });

  it('is nothing where all of a picture, or a video, is opaque', async () => {
    const file = at('opaque.png');
    await sharp({ create: { width: 2, height: 2, channels: 4, background: '#ffff' } }).toFile(file);
    expect(await decodeOpacity(file)).toBeUndefined();
    await encodePhoto(file, hostTensor('u8', [1, 1, 3], Uint8Array.of(1, 2, 3)));
    expect(await decodeOpacity(file)).toBeUndefined();
    await writeSampleVideo(at('opaque.avi'), movingDisc(1, 32, 32), { fps: 1 });
    expect(await decodeOpacity(at('opaque.avi'))).toBeUndefined();
  });
});

describe('animations', () => {
  it.each(['gif', 'webp'] as const)('%s is a clip', async (format) => {
    const path = at(`moving.${format}`);
    await encodeAnimation(path, movingDisc(9, 40, 24), { fps: 10, format });
    expect(await probeMedia(path)).toMatchObject({
      kind: 'clip',
      frameCount: 9,
      fps: 10,
      durationS: 0.9,
      width: 40,
    });
    const clip = await decodeVideo(path, { startFrame: 2, maxFrames: 3 });
    expect(clip).toMatchObject({ fps: 10, timesS: [0, 0.1, 0.2], frameCount: 5, complete: false });
    expect(clip.frames.shape).toEqual([3, 24, 40, 3]);
    const all = await decodeVideo(path);
    expect(all.complete).toBe(true);
    expect(all.frames.data.slice(2 * 40 * 24 * 3, 5 * 40 * 24 * 3)).toEqual(clip.frames.data);
    expect((await decodeVideo(path, { maxDurationS: 0.45 })).frames.shape[0]).toBe(5);
    expect((await decodeVideo(path, { maxFrames: 2, size: { width: 10, height: 8 } })).frames.shape).toEqual([
      2, 8, 10, 3,
    ]);
    await expect(decodePhoto(path)).rejects.toThrow(/several frames/);
    await expect(decodeVideo(path, { startFrame: 9 })).rejects.toThrow(/more than 9 frames/);
  });
});

describe('broken pictures', () => {
  const picture = () => sharp(movingDisc(1, 90, 90).data, { raw: { width: 90, height: 90, channels: 3 } });
  const half = (bytes: Buffer) => bytes.subarray(0, bytes.length >> 1);
  const refused: [string, () => Buffer | Promise<Buffer>][] = [
    ['huge.png', () => pngHeader(60_000, 60_000)],
    ['bodiless.png', () => pngHeader(6, 6)],
    ['no-width.png', () => pngHeader(0, 6)],
    ['cut.png', async () => half(await picture().png().toBuffer())],
    ['cut.jpg', async () => half(await picture().jpeg().toBuffer())],
    ['cut.webp', async () => half(await picture().webp().toBuffer())],
    ['head.gif', () => Buffer.from('GIF89a')],
    ['head.webp', () => Buffer.from('RIFF\x10\0\0\0WEBPVP8 ', 'latin1')],
    ['head.jpg', () => Buffer.from([0xff, 0xd8, 0xff, 0xe0])],
  ];
  it.each(refused)('%s', async (name, make) => {
    writeFileSync(at(name), await make());
    const failure = decodePhoto(at(name));
    await expect(failure).rejects.toThrow(MediaError);
    await expect(failure).rejects.toThrow(name);
  });

  it.each([
    [
      'drawing.png',
      '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
      /no png, jpg, webp or gif/,
    ],
    ['text.jpg', 'hello', /no png, jpg, webp or gif/],
    ['phone.jpg', '\0\0\0\x24ftypheic\0\0\0\0mif1', /HEIC.*convert it to jpg/],
    ['phone.mp4', '\0\0\0\x1cftypavif\0\0\0\0', /AVIF/],
  ])('%s is none, whatever its name', async (name, text, reason) => {
    writeFileSync(at(name), text, 'latin1');
    await expect(decodePhoto(at(name))).rejects.toThrow(MediaError);
    await expect(decodePhoto(at(name))).rejects.toThrow(reason);
  });

  it('a video under a photo’s name is what it holds', async () => {
    await writeSampleVideo(at('real.mp4'), movingDisc(3, 32, 24), { fps: 8 });
    copyFileSync(at('real.mp4'), at('video.gif'));
    expect(await probeMedia(at('video.gif'))).toMatchObject({ kind: 'clip', codec: 'mpeg4', frameCount: 3 });
  });
});
