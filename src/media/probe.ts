import { resolve } from 'node:path';
import { limitsOf, MediaError, type MediaLimits, type MediaOptions } from './errors.ts';
import { guardedInput, runFfmpeg } from './ffmpeg.ts';
import { sniffFile } from './file-kind.ts';
import { FrameFactsReader, timingOf } from './frame-facts.ts';
import { type PictureFacts, probePicture } from './picture.ts';

/** A photo has one frame, whatever its file type: the official identity data are one-frame mp4 files. */
export type MediaKind = 'photo' | 'clip';

/** What a file holds, found out by decoding all of it (image headers excepted). */
export interface MediaFacts {
  readonly path: string;
  readonly kind: MediaKind;
  /** `png`, `jpeg`, `webp`, `gif`, or ffmpeg's codec name, e.g. `h264`, `mpeg4`. */
  readonly codec: string;
  /** As shown: after rotation. */
  readonly width: number;
  readonly height: number;
  /** Mean frame rate; 0 for a still image file. */
  readonly fps: number;
  /** Frames that came out of the decoder. */
  readonly frameCount: number;
  readonly durationS: number;
  readonly variableFrameRate: boolean;
  /** What reading it changes, in words (orientation, transparency). */
  readonly notes: readonly string[];
  /** What the decoder said at error level: the file is damaged, although frames came out. */
  readonly complaints: readonly string[];
}

/** Options that keep decoded frames one to one, with their times in microseconds. */
export const MICROSECONDS = '1:1000000';

export async function probeMedia(path: string, options: MediaOptions = {}): Promise<MediaFacts> {
  const format = await sniffFile(path);
  if (format === 'video') return probeVideo(path, options);
  return factsOfPicture(path, await probePicture(path, format, options));
}

/**
 * Photo or clip, by a look at the file's beginning: it has more than one page or packet, or not. Says nothing
 * about whether the rest can be decoded. Throws {@link MediaError} for what is no media file at all.
 */
export async function kindOfMedia(path: string, options: MediaOptions = {}): Promise<MediaKind> {
  const format = await sniffFile(path);
  if (format !== 'video') return (await probePicture(path, format, options)).pageCount > 1 ? 'clip' : 'photo';
  const packets = new FrameFactsReader();
  await runFfmpeg({
    ...options,
    where: path,
    arguments: () => [
      ...guardedInput(resolve(path), limitsOf(options)),
      ...['-map', '0:V:0', '-c', 'copy', '-frames:v', '2', '-f', 'framecrc', 'pipe:1'],
    ],
    onOutput: packets.receive,
  });
  return packets.finish().frames.length > 1 ? 'clip' : 'photo';
}

export function factsOfPicture(path: string, picture: PictureFacts): MediaFacts {
  const durationS = picture.delaysMs.reduce((sum, delay) => sum + delay, 0) / 1000;
  return {
    path,
    kind: picture.pageCount > 1 ? 'clip' : 'photo',
    codec: picture.format,
    width: picture.width,
    height: picture.height,
    fps: durationS > 0 ? Math.round((1000 * picture.pageCount) / durationS) / 1000 : 0,
    frameCount: picture.pageCount,
    durationS,
    variableFrameRate: new Set(picture.delaysMs).size > 1,
    notes: picture.notes,
    complaints: [],
  };
}

async function probeVideo(path: string, options: MediaOptions): Promise<MediaFacts> {
  const limits = limitsOf(options);
  const packets = new FrameFactsReader();
  const decoded = new FrameFactsReader((count) => checkFrameCount(path, count, limits));
  const { complaints } = await runFfmpeg({
    ...options,
    where: path,
    arguments: (program) => [
      ...guardedInput(resolve(path), limits),
      ...['-map', '0:V:0', '-c', 'copy', '-f', 'framecrc', 'pipe:1'],
      ...['-map', '0:V:0', program.frameSyncOption, 'passthrough', '-enc_time_base', MICROSECONDS],
      ...['-f', 'framecrc', 'pipe:3'],
    ],
    onOutput: packets.receive,
    onFacts: decoded.receive,
  });
  const stream = packets.finish();
  const shown = decoded.finish();
  if (shown.frames.length === 0) throw noFrames(path, complaints);
  const timing = timingOf(stream.frames.length > 0 ? stream.frames : shown.frames);
  return {
    path,
    kind: shown.frames.length > 1 ? 'clip' : 'photo',
    codec: stream.codec,
    width: shown.width,
    height: shown.height,
    fps: timing.fps,
    frameCount: shown.frames.length,
    durationS: timing.durationS,
    variableFrameRate: timing.variableFrameRate,
    notes: [],
    complaints,
  };
}

export function noFrames(path: string, complaints: readonly string[]): MediaError {
  return new MediaError({
    where: path,
    expected: 'a video with at least one frame',
    got: complaints.length > 0 ? `none (${complaints.slice(-2).join(' | ')})` : 'none',
  });
}

export function checkFrameCount(path: string, count: number, limits: MediaLimits): void {
  if (count <= limits.maxFrames) return;
  throw new MediaError({
    where: path,
    expected: `a clip of at most ${limits.maxFrames} frames`,
    got: 'a longer one',
    hint: 'cut the part that shows the motion into a clip of its own',
  });
}
