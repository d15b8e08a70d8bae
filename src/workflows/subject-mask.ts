import { decodeOpacity, decodePhoto, fitFrames, MediaError, probeMedia } from '../media/index.ts';
import { latentMask } from '../methods/index.ts';
import type { DatasetItem } from '../store/dataset.ts';
import { type FloatTensor, floats, type HostTensor } from '../tensor/host-tensor.ts';
import { sizeOf } from '../tensor/shape.ts';
import type { ItemFeatures } from './features.ts';
import type { SampleShape } from './prepare.ts';

/** Where the subject is in a photo, and how that is known. */
export interface SubjectMask {
  /** Ones on the latent grid [1, 1, h, w]. */
  readonly mask: FloatTensor;
  readonly source: 'file' | 'transparency';
}

const HALF = 128;

/**
 * The subject's mask of a photo: a mask file beside it, else its transparency; undefined where it has neither.
 * It is fitted as the photo is; what is at least half white (or opaque) is the subject.
 */
export async function subjectMaskOf(
  { path, mask: file }: DatasetItem,
  { size, fit, temporalRatio }: SampleShape,
  latent: { readonly height: number; readonly width: number },
): Promise<SubjectMask | undefined> {
  const source = file === undefined ? 'transparency' : 'file';
  const grey = file === undefined ? await decodeOpacity(path) : await maskFile(file, path);
  if (!grey) return undefined;
  const { data } = fitFrames(grey, size, fit);
  const inside = new Uint8Array(size.width * size.height);
  for (let i = 0; i < inside.length; i++) inside[i] = data[3 * i] >= HALF ? 1 : 0;
  if (!inside.includes(1)) {
    throw new MediaError({
      where: file ?? path,
      expected:
        file === undefined ? 'a subject that is not transparent' : 'a mask that is white on the subject',
      got: `none of it within ${size.width}×${size.height} pixels`,
    });
  }
  const pixels: HostTensor = { dtype: 'u8', shape: [1, size.height, size.width], data: inside };
  return { mask: latentMask(pixels, { frames: 1, ...latent }, temporalRatio), source };
}

/** Photos without a mask get one of the whole picture, if another has one: batches mix them. */
export function withWholeMasks(features: readonly ItemFeatures[]): readonly ItemFeatures[] {
  const known = features.find(({ mask }) => mask !== undefined)?.mask;
  if (!known) return features;
  const whole = floats(known.shape, new Float32Array(sizeOf(known.shape)).fill(1));
  return features.map((item) => (item.mask ? item : { ...item, mask: whole }));
}

async function maskFile(file: string, photo: string): Promise<HostTensor<'u8'>> {
  const [{ image, width, height }, facts] = [await decodePhoto(file), await probeMedia(photo)];
  if (width === facts.width && height === facts.height) return image;
  throw new MediaError({
    where: file,
    expected: `a mask of the size of ${photo}, ${facts.width}×${facts.height}`,
    got: `${width}×${height}`,
  });
}
