import { type FloatTensor, floats } from '../../../tensor/host-tensor.ts';
import { type Shape, sizeOf } from '../../../tensor/shape.ts';

/** Frames [B, C, H, W] of a video [B, F, C, H, W], copied: a view would take the whole video along to a worker. */
export function frameTensors({ shape, data }: FloatTensor): FloatTensor[] {
  const [batch, frames, ...image] = shape;
  const size = sizeOf(image);
  return Array.from({ length: frames }, (_, f) => {
    const frame = new Float32Array(batch * size);
    for (let b = 0; b < batch; b++) {
      const start = (b * frames + f) * size;
      frame.set(data.subarray(start, start + size), b * size);
    }
    return floats([batch, ...image], frame);
  });
}

/** The video [B, F, C, H, W] of frames [B, C, H, W]. */
export function videoOf(frames: readonly FloatTensor[]): FloatTensor {
  const [batch, ...image] = frames[0].shape;
  const size = sizeOf(image);
  const data = new Float32Array(batch * frames.length * size);
  for (const [f, frame] of frames.entries()) {
    for (let b = 0; b < batch; b++) {
      data.set(frame.data.subarray(b * size, (b + 1) * size), (b * frames.length + f) * size);
    }
  }
  return floats([batch, frames.length, ...image], data);
}

/** Frames `start` to before `stop` of a video [B, F, C, H, W]; a view for one clip. */
export function sliceFrames(video: FloatTensor, start: number, stop: number): FloatTensor {
  return sliceAxes(video, 2, start, stop);
}

/** Videos [B, Fᵢ, C, H, W] one after the other in time. */
export function concatFrames(videos: readonly FloatTensor[]): FloatTensor {
  return videos.length === 1 ? videos[0] : videoOf(videos.flatMap(frameTensors));
}

/** Channels `start` to before `stop` of a video [B, F, C, H, W]. */
export function sliceChannels(video: FloatTensor, start: number, stop: number): FloatTensor {
  return sliceAxes(video, 3, start, stop);
}

/** A range of axis `depth − 1`. */
function sliceAxes({ shape, data }: FloatTensor, depth: number, start: number, stop: number): FloatTensor {
  const outer = sizeOf(shape.slice(0, depth - 1));
  const extent = shape[depth - 1];
  const inner = sizeOf(shape.slice(depth));
  const result: Shape = [...shape.slice(0, depth - 1), stop - start, ...shape.slice(depth)];
  if (outer === 1) return floats(result, data.subarray(start * inner, stop * inner));
  const length = (stop - start) * inner;
  const copy = new Float32Array(outer * length);
  for (let i = 0; i < outer; i++) {
    const from = (i * extent + start) * inner;
    copy.set(data.subarray(from, from + length), i * length);
  }
  return floats(result, copy);
}
