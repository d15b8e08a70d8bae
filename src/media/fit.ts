import { type FloatTensor, type HostTensor, zeros } from '../tensor/host-tensor.ts';
import { asBatch, cropped, planes } from './preprocess.ts';
import { type ResizeFilter, resize, type Size } from './resize.ts';

/**
 * How pictures of another shape are fitted into the model's size. `stretch`: each side on its own, as the
 * official release does; `crop`: keep the aspect, cut what sticks out, evenly on both sides; `pad`: keep the
 * aspect, black bars.
 */
export type FitMode = 'stretch' | 'crop' | 'pad';

/** u8 [H, W, 3] or [F, H, W, 3] → u8 [1 or F, size.height, size.width, 3]. */
export function fitFrames(
  images: HostTensor<'u8'>,
  size: Size,
  mode: FitMode,
  filter: ResizeFilter = 'bicubic',
): HostTensor<'u8'> {
  const frames = asBatch(images);
  const [, height, width] = frames.shape;
  if (height === size.height && width === size.width) return frames;
  if (mode === 'stretch') return resize(frames, size, filter);
  const scales = [size.width / width, size.height / height];
  const scale = mode === 'crop' ? Math.max(...scales) : Math.min(...scales);
  const bound = mode === 'crop' ? Math.max : Math.min;
  const scaled = resize(
    frames,
    {
      width: Math.max(1, bound(size.width, Math.round(width * scale))),
      height: Math.max(1, bound(size.height, Math.round(height * scale))),
    },
    filter,
  );
  return mode === 'crop' ? centreCropped(scaled, size) : padded(scaled, size);
}

function centreCropped(frames: HostTensor<'u8'>, size: Size): HostTensor<'u8'> {
  const [, height, width] = frames.shape;
  const top = Math.floor((height - size.height) / 2);
  const left = Math.floor((width - size.width) / 2);
  return cropped(frames, { top, left, ...size });
}

function padded(frames: HostTensor<'u8'>, size: Size): HostTensor<'u8'> {
  const [count, height, width] = frames.shape;
  const out = zeros('u8', [count, size.height, size.width, 3]);
  const top = Math.floor((size.height - height) / 2);
  const left = Math.floor((size.width - width) / 2);
  for (let frame = 0; frame < count; frame++) {
    for (let y = 0; y < height; y++) {
      const row = frames.data.subarray(
        (frame * height + y) * width * 3,
        (frame * height + y + 1) * width * 3,
      );
      out.data.set(row, ((frame * size.height + top + y) * size.width + left) * 3);
    }
  }
  return out;
}

/**
 * How much longer things become along the wider-stretched side when `from` is stretched to `to`: 0 where the
 * aspect is the same, 0.125 for 4:3 shown at 3:2.
 */
export function stretchOf(from: Size, to: Size): number {
  const ratio = to.width / to.height / (from.width / from.height);
  return Math.max(ratio, 1 / ratio) - 1;
}

/** Value v of 0 … 255 as the official loader scales it: v / 255 · 2 − 1, in f32. */
const MODEL_RANGE = Float32Array.from({ length: 256 }, (_, value) => Math.fround(value / 255) * 2 - 1);

/** u8 [F, H, W, 3] → f32 [F, 3, H, W] in [−1, 1], what the VAE takes. */
export function toModelRange(frames: HostTensor<'u8'>): FloatTensor {
  return planes(frames, [MODEL_RANGE, MODEL_RANGE, MODEL_RANGE]);
}

/** f32 [F, 3, H, W] in [−1, 1] → u8 [F, H, W, 3]; clamped, rounded to nearest. */
export function fromModelRange(video: FloatTensor): HostTensor<'u8'> {
  const [count, , height, width] = video.shape;
  const area = height * width;
  const out = zeros('u8', [count, height, width, 3]);
  for (let frame = 0; frame < count; frame++) {
    for (let channel = 0; channel < 3; channel++) {
      const from = (frame * 3 + channel) * area;
      let to = frame * area * 3 + channel;
      for (let i = 0; i < area; i++, to += 3) {
        const value = Math.round((video.data[from + i] / 2 + 0.5) * 255);
        out.data[to] = value < 0 ? 0 : value > 255 ? 255 : value;
      }
    }
  }
  return out;
}
