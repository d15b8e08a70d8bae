import sharp, { type Sharp } from 'sharp';
import { describe, expect, it } from 'vitest';
import { mosaic, movingDisc } from '../../test/media-samples.ts';
import { resize } from '../media/index.ts';
import { type HostTensor, hostTensor, zeros } from '../tensor/host-tensor.ts';
import { colourDistance, frameOf, lookAt, looksAlike, measuredSize } from './doctor-measure.ts';

async function changed(image: HostTensor<'u8'>, how: (picture: Sharp) => Sharp): Promise<HostTensor<'u8'>> {
  const [height, width] = image.shape;
  const picture = sharp(image.data, { raw: { width, height, channels: 3 } });
  const { data } = await how(picture).raw().toBuffer({ resolveWithObject: true });
  return hostTensor('u8', image.shape, new Uint8Array(data));
}

describe('lookAt', () => {
  it('knows dark, flat and blurred pictures', async () => {
    const image = mosaic(1);
    const plain = lookAt(image);
    expect(plain.brightness).toBeGreaterThan(90);
    expect(plain.contrast).toBeGreaterThan(20);
    expect(lookAt(await changed(image, (picture) => picture.linear(0.1, 0))).brightness).toBeLessThan(20);
    expect(lookAt(zeros('u8', [40, 60, 3]))).toMatchObject({ brightness: 0, contrast: 0, sharpness: 0 });
    expect(plain.sharpness).toBeGreaterThan(0.1);
    expect(lookAt(await changed(image, (picture) => picture.blur(6))).sharpness).toBeLessThan(0.003);
  });

  it('measures at one size', () => {
    expect(measuredSize({ width: 720, height: 480 })).toEqual({ width: 384, height: 256 });
    expect(measuredSize({ width: 64, height: 64 })).toEqual({ width: 64, height: 64 });
    expect(measuredSize({ width: 10_000, height: 1 })).toEqual({ width: 10_000, height: 1 });
  });
});

describe('looksAlike', () => {
  it('sees through scaling, compression and a little light; not through other pictures', async () => {
    const image = mosaic(2);
    const look = lookAt(image);
    const jpeg = await sharp(image.data, { raw: { width: 360, height: 240, channels: 3 } })
      .jpeg({ quality: 50 })
      .toBuffer();
    const recompressed = hostTensor('u8', image.shape, new Uint8Array(await sharp(jpeg).raw().toBuffer()));
    expect(looksAlike(look, lookAt(recompressed))).toBe(true);
    expect(looksAlike(look, lookAt(resize(image, { width: 150, height: 100 })))).toBe(true);
    expect(looksAlike(look, lookAt(await changed(image, (picture) => picture.linear(1, 12))))).toBe(true);
    for (let seed = 3; seed < 13; seed++) expect(looksAlike(look, lookAt(mosaic(seed)))).toBe(false);
  });

  it('measures movement', () => {
    const disc = movingDisc(5, 64, 48);
    const looks = [0, 1, 4].map((index) => lookAt(frameOf(disc, index)));
    expect(colourDistance(looks[0], looks[0])).toBe(0);
    expect(colourDistance(looks[0], looks[2])).toBeGreaterThan(colourDistance(looks[0], looks[1]));
  });
});
