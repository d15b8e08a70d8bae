import { type HostTensor, hostTensor } from '../tensor/host-tensor.ts';
import { decodeStream, emptyRange, tooMuch } from './decode-stream.ts';
import { limitsOf, MediaError } from './errors.ts';
import { type ImageFormat, sniffFile } from './file-kind.ts';
import { decodePages, decodePicture, type PictureOptions, probePicture } from './picture.ts';
import { asBatch } from './preprocess.ts';
import { checkFrameCount, factsOfPicture } from './probe.ts';
import { resize, type Size } from './resize.ts';

export interface DecodeOptions extends PictureOptions {
  /** First frame taken; default 0. */
  readonly startFrame?: number;
  /** Frames taken at most; default all. Decoding stops there. */
  readonly maxFrames?: number;
  /** Seconds taken at most, from the first frame taken; default all. Decoding stops there. */
  readonly maxDurationS?: number;
  /**
   * Videos are scaled by the decoder to exactly this size (swscale bicubic, aspect not kept), as the official
   * loader has its decoder do; image files by {@link resize}, bicubic. Without it frames have the file's size.
   */
  readonly size?: Size;
  /** Take frames although the decoder reported damage, which is otherwise an error. */
  readonly acceptDamage?: boolean;
}

export interface DecodedVideo {
  readonly path: string;
  /** u8 RGB [F, H, W, 3]. */
  readonly frames: HostTensor<'u8'>;
  /** Presentation time of each frame, from the first one taken. */
  readonly timesS: readonly number[];
  /** Of the whole file; 0 for a still image. */
  readonly fps: number;
  readonly width: number;
  readonly height: number;
  readonly codec: string;
  /** Of the whole file. */
  readonly durationS: number;
  /** Frames decoded, counted from the file's start; the file's total where `complete`. */
  readonly frameCount: number;
  /** Whether the end of the file was reached. */
  readonly complete: boolean;
  /** What reading changed, in words. */
  readonly notes: readonly string[];
  /** What the decoder said at error level; empty unless `acceptDamage`. */
  readonly complaints: readonly string[];
}

/** Decodes a clip: any video, or an animated gif or webp; a still image comes as one frame. */
export async function decodeVideo(path: string, options: DecodeOptions = {}): Promise<DecodedVideo> {
  checkRange(path, options);
  const format = await sniffFile(path);
  if (format !== 'video') return decodeImageFile(path, format, options);
  const video = await decodeStream(path, options);
  const damage = video.complaints.filter((line) => !HARMLESS.test(line));
  if (!options.acceptDamage && damage.length > 0) throw damaged(path, damage);
  return video;
}

/** A single picture. */
export interface DecodedPhoto {
  readonly path: string;
  /** u8 RGB [H, W, 3]. */
  readonly image: HostTensor<'u8'>;
  readonly width: number;
  readonly height: number;
  readonly codec: string;
  readonly notes: readonly string[];
}

/** Decodes a photo: an image file, or a video with exactly one frame. A clip is refused. */
export async function decodePhoto(
  path: string,
  options: Omit<DecodeOptions, 'startFrame' | 'maxFrames' | 'maxDurationS'> = {},
): Promise<DecodedPhoto> {
  const { frames, width, height, codec, notes } = await decodeVideo(path, { ...options, maxFrames: 2 });
  if (frames.shape[0] !== 1) {
    throw new MediaError({
      where: path,
      expected: 'a photo (an image file, or a video with one frame)',
      got: 'a clip with several frames',
    });
  }
  return { path, image: hostTensor('u8', frames.shape.slice(1), frames.data), width, height, codec, notes };
}

async function decodeImageFile(
  path: string,
  format: ImageFormat,
  options: DecodeOptions,
): Promise<DecodedVideo> {
  const limits = limitsOf(options);
  const picture = await probePicture(path, format, options);
  const facts = factsOfPicture(path, picture);
  const start = options.startFrame ?? 0;
  const count = Math.min(
    options.maxFrames ?? Number.POSITIVE_INFINITY,
    pagesWithin(picture.delaysMs.slice(start), options.maxDurationS) ?? picture.pageCount - start,
  );
  if (count < 1) throw emptyRange(path, options, []);
  checkFrameCount(path, count, limits);
  if (count * facts.width * facts.height * 3 > limits.maxDecodedBytes) throw tooMuch(path, limits);
  const native =
    picture.pageCount === 1
      ? asBatch(await decodePicture(path, options))
      : await decodePages(path, start, count, options);
  const frames = options.size ? resize(native, options.size) : native;
  const [, height, width] = frames.shape;
  let timeS = 0;
  const timesS = Array.from({ length: count }, (_, index) => {
    const shownAtS = timeS;
    timeS += (picture.delaysMs[start + index] ?? 0) / 1000;
    return shownAtS;
  });
  return {
    path,
    frames,
    timesS,
    fps: facts.fps,
    width,
    height,
    codec: format,
    durationS: facts.durationS,
    frameCount: start + count,
    complete: start + count === picture.pageCount,
    notes: picture.notes,
    complaints: [],
  };
}

/** How many pages begin before `maxDurationS` has passed. */
function pagesWithin(delaysMs: readonly number[], maxDurationS: number | undefined): number | undefined {
  if (maxDurationS === undefined || delaysMs.length === 0) return undefined;
  let shownMs = 0;
  return delaysMs.filter((delayMs) => {
    const begins = shownMs < maxDurationS * 1000;
    shownMs += delayMs;
    return begins;
  }).length;
}

function checkRange(path: string, options: DecodeOptions): void {
  const { startFrame = 0, maxFrames = 1, maxDurationS = 1 } = options;
  const whole = Number.isInteger(startFrame) && Number.isInteger(maxFrames);
  if (whole && startFrame >= 0 && maxFrames >= 1 && maxDurationS > 0) return;
  throw new MediaError({
    where: path,
    expected:
      'a whole startFrame of at least 0, a whole maxFrames of at least 1, and a positive maxDurationS',
    got: `${startFrame}, ${maxFrames} and ${maxDurationS}`,
  });
}

// About times and bookkeeping, said of intact files too; pixels are not concerned.
const HARMLESS = /non monotonically increasing dts|mmco: unref short failure/;

function damaged(path: string, complaints: readonly string[]): MediaError {
  return new MediaError({
    where: path,
    expected: 'an undamaged clip',
    got: `damaged frames (${complaints.slice(0, 2).join(' | ')})`,
    hint: 'replace the file, or re-encode it with ffmpeg and look at the result',
  });
}
