import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { writeFileAtomic } from '../tensor/atomic-file.ts';
import { throwIfCancelled } from '../tensor/errors.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import { formatShape } from '../tensor/shape.ts';
import { MediaError, type MediaOptions } from './errors.ts';
import { runFfmpeg } from './ffmpeg.ts';

export interface EncodeOptions extends MediaOptions {
  readonly fps: number;
  /** H.264 quality: 0 lossless … 51 worst; default 17, visually lossless. */
  readonly crf?: number;
  /** Makes tiny videos watchable: a whole factor, with hard pixels or smooth ones. */
  readonly upscale?: { readonly factor: number; readonly filter: 'nearest' | 'lanczos' };
  /** Kept in the file's metadata, e.g. the recipe as JSON. At most 64 KiB. */
  readonly comment?: string;
}

const MAX_COMMENT_BYTES = 65_536;

/**
 * Writes frames (u8 RGB [F, H, W, 3]) as an mp4 that browsers play: H.264, yuv420p, BT.709, index in front.
 * An odd side is made even by repeating its last row or column. The file appears whole or not at all.
 */
export async function encodeVideo(
  path: string,
  frames: HostTensor<'u8'>,
  options: EncodeOptions,
): Promise<void> {
  checkFrames(path, frames);
  checkOptions(path, options);
  const [count, height, width] = frames.shape;
  const frameBytes = height * width * 3;
  const folder = await mkdtemp(join(tmpdir(), 'dualreal-encode-'));
  try {
    const finished = join(folder, 'video.mp4');
    await runFfmpeg({
      ...options,
      where: path,
      arguments: () => [
        ...['-f', 'rawvideo', '-pixel_format', 'rgb24', '-video_size', `${width}x${height}`],
        ...['-framerate', String(options.fps), '-i', 'pipe:0', '-vf', filters(width, height, options)],
        // One thread and no version strings: the same frames give the same file.
        ...['-c:v', 'libx264', '-preset', 'medium', '-crf', String(options.crf ?? 17), '-threads', '1'],
        ...['-pix_fmt', 'yuv420p', '-color_range', 'tv', '-colorspace', 'bt709', '-color_primaries', 'bt709'],
        ...[
          '-color_trc',
          'bt709',
          '-fflags',
          '+bitexact',
          '-flags:v',
          '+bitexact',
          '-movflags',
          '+faststart',
        ],
        ...(options.comment === undefined ? [] : ['-metadata', `comment=${options.comment}`]),
        ...['-f', 'mp4', `file:${finished}`],
      ],
      input: (function* () {
        for (let frame = 0; frame < count; frame++) {
          yield frames.data.subarray(frame * frameBytes, (frame + 1) * frameBytes);
        }
      })(),
    });
    throwIfCancelled(options.signal, path);
    await writeFileAtomic(path, await readFile(finished));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function filters(width: number, height: number, { upscale }: EncodeOptions): string {
  const factor = upscale?.factor ?? 1;
  const flags = upscale?.filter === 'nearest' ? 'neighbor' : 'lanczos';
  const [wide, high] = [width * factor, height * factor];
  const steps = factor > 1 ? [`scale=${wide}:${high}:flags=${flags}`] : [];
  if (wide % 2 === 1 || high % 2 === 1) {
    const [right, bottom] = [wide % 2, high % 2];
    steps.push(
      `pad=${wide + right}:${high + bottom}`,
      `fillborders=right=${right}:bottom=${bottom}:mode=smear`,
    );
  }
  return [...steps, 'scale=flags=accurate_rnd+full_chroma_int:out_color_matrix=bt709:out_range=tv'].join(',');
}

/**
 * Writes frames (u8 RGB [F, H, W, 3]) as an animated gif or webp that loops, for pages without video.
 * The formats round: gif times are hundredths of a second, webp joins equal neighbours into one longer frame.
 */
export async function encodeAnimation(
  path: string,
  frames: HostTensor<'u8'>,
  options: { readonly fps: number; readonly format: 'gif' | 'webp' },
): Promise<void> {
  checkFrames(path, frames);
  checkOptions(path, options);
  const [count, height, width] = frames.shape;
  const stacked = sharp(frames.data, {
    raw: { width, height: height * count, channels: 3, pageHeight: height },
    limitInputPixels: false,
  });
  const timing = { loop: 0, delay: new Array<number>(count).fill(Math.round(1000 / options.fps)) };
  const encoded = options.format === 'gif' ? stacked.gif(timing) : stacked.webp({ ...timing, quality: 90 });
  await writeFileAtomic(path, await encoded.toBuffer());
}

/** Writes one picture (u8 RGB [H, W, 3]) as PNG, lossless and small: adaptive filters save 40 % of a photo. */
export async function encodePhoto(path: string, image: HostTensor<'u8'>): Promise<void> {
  const [height, width] = image.shape;
  const png = await sharp(image.data, { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 9, adaptiveFiltering: true })
    .toBuffer();
  await writeFileAtomic(path, png);
}

function checkFrames(path: string, frames: HostTensor<'u8'>): void {
  const [count, height, width, channels] = frames.shape;
  if (frames.shape.length === 4 && count > 0 && height > 0 && width > 0 && channels === 3) return;
  throw new MediaError({
    where: path,
    expected: 'at least one frame, as [F, H, W, 3]',
    got: formatShape(frames.shape),
  });
}

function checkOptions(path: string, options: Partial<EncodeOptions> & { readonly fps: number }): void {
  const { fps, crf = 17, upscale, comment = '' } = options;
  const refuse = (expected: string, got: string) => new MediaError({ where: path, expected, got });
  if (!(fps > 0 && fps <= 1000)) throw refuse('a frame rate above 0, at most 1000', String(fps));
  if (!(crf >= 0 && crf <= 51)) throw refuse('a crf of 0 to 51', String(crf));
  const factor = upscale?.factor ?? 1;
  if (!Number.isInteger(factor) || factor < 1 || factor > 64)
    throw refuse('an upscale factor of 1 to 64', String(factor));
  const commentBytes = Buffer.byteLength(comment);
  if (commentBytes > MAX_COMMENT_BYTES) throw refuse('a comment of at most 64 KiB', `${commentBytes} bytes`);
  if (comment.includes('\0')) throw refuse('a comment without NUL characters', 'one with');
}
