import type { HostTensor } from '../tensor/host-tensor.ts';
import { type DecodedVideo, type DecodeOptions, decodeVideo } from './decode.ts';
import { type FitMode, fitFrames } from './fit.ts';
import { type FrameSelection, neededRange, selectFrames } from './frame-selection.ts';
import type { Size } from './resize.ts';

/** The shape in which a model takes photos and clips. */
export interface LoadRequest {
  readonly size: Size;
  readonly fit: FitMode;
  readonly selection: FrameSelection;
}

/** A photo (one frame) or clip, ready for {@link toModelRange} and the VAE. */
export interface LoadedMedia {
  readonly path: string;
  /** u8 RGB [F, H, W, 3]; F is ratio·k + 1, H and W are the request's size. */
  readonly frames: HostTensor<'u8'>;
  /** Frames per second of `frames` as they were filmed; 0 for a still image. */
  readonly fps: number;
  /** What reading changed, in words. */
  readonly notes: readonly string[];
}

/**
 * Decodes a file and fits it: frame selection, 4k + 1 rule, size. `stretch` lets the decoder scale videos,
 * because the official loader does; `crop` and `pad` scale with {@link resize}. Bad files are refused by name.
 */
export async function loadMedia(
  path: string,
  request: LoadRequest,
  options: Omit<DecodeOptions, 'startFrame' | 'maxFrames' | 'maxDurationS' | 'size'> = {},
): Promise<LoadedMedia> {
  const { size, fit, selection } = request;
  const video = await decodeVideo(path, {
    ...options,
    ...neededRange(selection),
    ...(fit === 'stretch' ? { size } : {}),
  });
  const chosen = framesAt(video, selectFrames(video.timesS, video.fps, selection));
  return {
    path,
    frames: fitFrames(chosen, size, fit),
    fps: selection.fps === 'native' ? video.fps : selection.fps,
    notes: video.notes,
  };
}

function framesAt(video: DecodedVideo, indices: readonly number[]): HostTensor<'u8'> {
  const [, height, width] = video.frames.shape;
  const frameBytes = height * width * 3;
  const data = new Uint8Array(indices.length * frameBytes);
  indices.forEach((index, place) => {
    data.set(video.frames.data.subarray(index * frameBytes, (index + 1) * frameBytes), place * frameBytes);
  });
  return { dtype: 'u8', shape: [indices.length, height, width, 3], data };
}
