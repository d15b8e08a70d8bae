import { clipPreprocessing, dinoPreprocessing, type ImagePreprocessing } from '../models/preprocessing.ts';
import { ShapeError } from '../tensor/errors.ts';
import { type FloatTensor, floats, type HostTensor, zeros } from '../tensor/host-tensor.ts';
import { formatShape } from '../tensor/shape.ts';
import { resize, type Size } from './resize.ts';

/** How an image becomes the input of an image encoder. */
export type PreprocessRecipe = ImagePreprocessing;
export type CropRounding = ImagePreprocessing['cropRounding'];

/**
 * OpenAI CLIP and open_clip: bicubic short side, centre crop. An odd margin is cut as torchvision does, or at
 * the `floor` as current transformers.
 */
export function clipRecipe(side: number, cropRounding: CropRounding = 'round-half-even'): PreprocessRecipe {
  return { ...clipPreprocessing(side), cropRounding };
}

/** DINO's evaluation transform. */
export const dinoRecipe = dinoPreprocessing;

/** The official DualReal inference reference image: bilinear straight to the square, CLIP statistics. */
export function dualrealReferenceRecipe(side: number): PreprocessRecipe {
  return { ...clipRecipe(side), shape: 'square', filter: 'bilinear' };
}

/** u8 [H, W, 3] or [F, H, W, 3] → f32 [1 or F, 3, cropTo, cropTo], normalised. */
export function preprocess(images: HostTensor<'u8'>, recipe: PreprocessRecipe): FloatTensor {
  return normalized(preprocessPixels(images, recipe), recipe);
}

/** The 8-bit half of {@link preprocess}: resized and cropped. u8 [1 or F, cropTo, cropTo, 3]. */
export function preprocessPixels(images: HostTensor<'u8'>, recipe: PreprocessRecipe): HostTensor<'u8'> {
  const batch = asBatch(images);
  const [, height, width] = batch.shape;
  const { resizeTo, cropTo } = recipe;
  if (recipe.shape === 'square') return resize(batch, { width: cropTo, height: cropTo }, recipe.filter);
  const resized = resize(batch, shortSideSize({ width, height }, resizeTo), recipe.filter);
  const top = cropOffset(resized.shape[1] - cropTo, recipe.cropRounding);
  const left = cropOffset(resized.shape[2] - cropTo, recipe.cropRounding);
  return cropped(resized, { top, left, width: cropTo, height: cropTo });
}

/** Both sides after the short one became `side`; the long one is cut to a whole number, not rounded. */
export function shortSideSize(size: Size, side: number): Size {
  const { width, height } = size;
  return width <= height
    ? { width: side, height: Math.trunc((side * height) / width) }
    : { width: Math.trunc((side * width) / height), height: side };
}

function cropOffset(margin: number, rounding: CropRounding): number {
  const floor = Math.floor(margin / 2);
  if (rounding === 'floor' || margin % 2 === 0) return floor;
  return floor % 2 === 0 ? floor : floor + 1;
}

export interface Rectangle extends Size {
  readonly top: number;
  readonly left: number;
}

/** A rectangle of each frame. u8 [F, H, W, 3] → [F, height, width, 3]. */
export function cropped(frames: HostTensor<'u8'>, rectangle: Rectangle): HostTensor<'u8'> {
  const [count, height, width] = frames.shape;
  const { top, left } = rectangle;
  if (top < 0 || left < 0 || top + rectangle.height > height || left + rectangle.width > width) {
    throw new ShapeError({
      where: 'crop',
      expected: `a rectangle inside ${width}×${height}`,
      got: `${rectangle.width}×${rectangle.height} at (${left}, ${top})`,
    });
  }
  if (rectangle.width === width && rectangle.height === height) return frames;
  const out = zeros('u8', [count, rectangle.height, rectangle.width, 3]);
  const rowBytes = rectangle.width * 3;
  for (let frame = 0; frame < count; frame++) {
    for (let y = 0; y < rectangle.height; y++) {
      const from = ((frame * height + top + y) * width + left) * 3;
      out.data.set(frames.data.subarray(from, from + rowBytes), (frame * rectangle.height + y) * rowBytes);
    }
  }
  return out;
}

/** u8 [F, H, W, 3] → f32 [F, 3, H, W]: value/255, minus mean, over std, each step rounded to f32. */
function normalized(frames: HostTensor<'u8'>, recipe: PreprocessRecipe): FloatTensor {
  const tables = [0, 1, 2].map((channel) => {
    const mean = Math.fround(recipe.mean[channel]);
    const std = Math.fround(recipe.std[channel]);
    return Float32Array.from(
      { length: 256 },
      (_, value) => Math.fround(Math.fround(value / 255) - mean) / std,
    );
  });
  return planes(frames, tables);
}

/** u8 [F, H, W, 3] → f32 [F, 3, H, W], each channel's byte looked up in its table of 256 values. */
export function planes(frames: HostTensor<'u8'>, tables: readonly Float32Array[]): FloatTensor {
  const [count, height, width] = asBatch(frames).shape;
  const area = height * width;
  const out = new Float32Array(count * 3 * area);
  for (let frame = 0; frame < count; frame++) {
    for (let channel = 0; channel < 3; channel++) {
      const table = tables[channel];
      const to = (frame * 3 + channel) * area;
      let from = frame * area * 3 + channel;
      for (let i = 0; i < area; i++, from += 3) out[to + i] = table[frames.data[from]];
    }
  }
  return floats([count, 3, height, width], out);
}

/** [H, W, 3] as [1, H, W, 3]; a batch as it is. */
export function asBatch(images: HostTensor<'u8'>): HostTensor<'u8'> {
  const { shape } = images;
  if (shape[shape.length - 1] !== 3 || shape.length < 3 || shape.length > 4) {
    throw new ShapeError({ where: 'images', expected: '[H, W, 3] or [F, H, W, 3]', got: formatShape(shape) });
  }
  return shape.length === 4 ? images : { ...images, shape: [1, ...shape] };
}
