import { DualrealError } from '../tensor/errors.ts';

/** A photo, clip or data set that cannot be used as it is. `where` is the file; nothing was changed. */
export class MediaError extends DualrealError {}

/** Bounds on what one media file may cost. Exceeding one is a {@link MediaError} that names it. */
export interface MediaLimits {
  /** Wall-clock time of one ffmpeg run. */
  readonly timeoutMs: number;
  /** Pixels of one frame (width × height), as the file declares them. */
  readonly maxPixels: number;
  /** Frames decoded from one file. */
  readonly maxFrames: number;
  /** Bytes of decoded RGB frames kept in memory at once. */
  readonly maxDecodedBytes: number;
  /** Address space of the ffmpeg process, where the system can enforce it (Linux). */
  readonly maxProcessBytes: number;
}

/** 8K frames, ten minutes at 60 fps, 2 GiB of frames: far above training data, far below a machine's end. */
export const DEFAULT_MEDIA_LIMITS: MediaLimits = {
  timeoutMs: 120_000,
  maxPixels: 40_000_000,
  maxFrames: 36_000,
  maxDecodedBytes: 2 ** 31,
  maxProcessBytes: 2 ** 32,
};

/** What every function of this room that opens a file accepts. */
export interface MediaOptions {
  readonly limits?: Partial<MediaLimits>;
  readonly signal?: AbortSignal | undefined;
}

export function limitsOf(options: MediaOptions): MediaLimits {
  return { ...DEFAULT_MEDIA_LIMITS, ...options.limits };
}
