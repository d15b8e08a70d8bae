import sharp from 'sharp';
import { throwIfCancelled } from '../tensor/errors.ts';
import { type HostTensor, hostTensor } from '../tensor/host-tensor.ts';
import { limitsOf, MediaError, type MediaOptions } from './errors.ts';
import { type ImageFormat, sniffFile } from './file-kind.ts';

export interface PictureOptions extends MediaOptions {
  /**
   * An embedded colour profile is ignored (the numbers are taken as they are, as Pillow and so all of the
   * upstream tools do) or applied (converted to sRGB). Default `ignore`.
   */
  readonly colourProfile?: 'ignore' | 'apply';
}

/** Facts of an image file (png, jpg, webp, gif), from its header and, for animations, its page list. */
export interface PictureFacts {
  readonly format: ImageFormat;
  /** After the EXIF orientation. */
  readonly width: number;
  readonly height: number;
  /** 1 for a photo, more for an animated gif or webp. */
  readonly pageCount: number;
  /** Display time of each page of an animation. */
  readonly delaysMs: readonly number[];
  /** What reading changes, in words: "transparent parts are shown on white". */
  readonly notes: readonly string[];
}

// Browsers show pages with no or a tiny delay for a tenth of a second; so do we.
const DEFAULT_DELAY_MS = 100;
const SMALLEST_DELAY_MS = 20;

export async function probePicture(
  path: string,
  format: ImageFormat,
  options: PictureOptions = {},
): Promise<PictureFacts> {
  const metadata = await guarded(path, options, () =>
    sharp(path, { limitInputPixels: limitsOf(options).maxPixels, animated: false }).metadata(),
  );
  if (metadata.format !== format)
    throw unreadable(path, `${metadata.format} data with a ${format} beginning`);
  const sideways = (metadata.orientation ?? 1) >= 5;
  const pageHeight = metadata.pageHeight ?? metadata.height;
  const pageCount = metadata.pages ?? 1;
  checkPixels(path, metadata.width, pageHeight, options);
  const notes: string[] = [];
  if ((metadata.orientation ?? 1) !== 1) notes.push('turned upright by its EXIF orientation');
  if (metadata.hasAlpha && pageCount === 1) {
    const { isOpaque } = await guarded(path, options, () => sharp(path).stats());
    if (!isOpaque) notes.push('transparent parts are shown on white');
  }
  if (metadata.icc && !isStandardProfile(metadata.icc)) {
    const applied = options.colourProfile === 'apply';
    notes.push(
      applied ? 'converted to sRGB by its colour profile' : 'its colour profile is not sRGB and is ignored',
    );
  }
  return {
    format,
    width: sideways ? pageHeight : metadata.width,
    height: sideways ? metadata.width : pageHeight,
    pageCount,
    delaysMs: pageDelays(metadata.delay, pageCount),
    notes,
  };
}

/** Decodes an image file's first page: sRGB, upright, on white. u8 [H, W, 3]. */
export async function decodePicture(path: string, options: PictureOptions = {}): Promise<HostTensor<'u8'>> {
  const { data, info } = await guarded(path, options, () => rgbOf(path, options, {}));
  return hostTensor('u8', [info.height, info.width, 3], bytes(data));
}

/**
 * How opaque each pixel of an image file's first page is, upright, as a grey picture: u8 [H, W, 3]. Undefined
 * where all of it is opaque, as a video always is.
 */
export async function decodeOpacity(
  path: string,
  options: MediaOptions = {},
): Promise<HostTensor<'u8'> | undefined> {
  if ((await sniffFile(path)) === 'video') return undefined;
  const { maxPixels: limitInputPixels } = limitsOf(options);
  const open = () => sharp(path, { limitInputPixels, failOn: 'truncated', sequentialRead: true });
  const { hasAlpha } = await guarded(path, options, () => open().metadata());
  if (!hasAlpha) return undefined;
  const { data, info } = await guarded(path, options, () =>
    open().autoOrient().extractChannel('alpha').raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true }),
  );
  if (data.every((value) => value === 255)) return undefined;
  const grey = new Uint8Array(info.width * info.height * 3);
  for (const [i, value] of data.entries()) grey.fill(value, 3 * i, 3 * i + 3);
  return hostTensor('u8', [info.height, info.width, 3], grey);
}

/** Decodes pages `start` … `start + count` − 1 of an animation. u8 [F, H, W, 3]. */
export async function decodePages(
  path: string,
  start: number,
  count: number,
  options: PictureOptions = {},
): Promise<HostTensor<'u8'>> {
  const { data, info } = await guarded(path, options, () =>
    rgbOf(path, options, { page: start, pages: count }),
  );
  const height = info.pageHeight ?? info.height / count;
  return hostTensor('u8', [count, height, info.width, 3], bytes(data));
}

function rgbOf(path: string, options: PictureOptions, pages: { page?: number; pages?: number }) {
  const { maxPixels } = limitsOf(options);
  const image = sharp(path, {
    limitInputPixels: maxPixels * (pages.pages ?? 1),
    failOn: 'truncated',
    ignoreIcc: options.colourProfile !== 'apply',
    sequentialRead: true,
    ...pages,
  });
  const upright = pages.pages === undefined ? image.autoOrient() : image;
  return upright
    .flatten({ background: '#ffffff' })
    .toColourspace('srgb')
    .removeAlpha()
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
}

function bytes(data: Buffer): Uint8Array<ArrayBuffer> {
  return new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
}

/** Whether an ICC profile calls itself sRGB, in either text encoding that profiles use. */
function isStandardProfile(profile: Buffer): boolean {
  return profile.includes('sRGB') || profile.includes(Buffer.from('sRGB', 'utf16le').swap16());
}

function pageDelays(delays: readonly number[] | undefined, pageCount: number): number[] {
  if (pageCount === 1) return [];
  return Array.from({ length: pageCount }, (_, page) => {
    const delayMs = delays?.[page] ?? DEFAULT_DELAY_MS;
    return delayMs < SMALLEST_DELAY_MS ? DEFAULT_DELAY_MS : delayMs;
  });
}

function checkPixels(path: string, width: number, height: number, options: MediaOptions): void {
  const { maxPixels } = limitsOf(options);
  if (width * height <= maxPixels) return;
  throw new MediaError({
    where: path,
    expected: `a picture of at most ${maxPixels} pixels`,
    got: `${width}×${height}`,
    hint: 'scale it down first',
  });
}

/** Errors of the image library, as ours; libvips' messages repeat the path and span lines. */
async function guarded<T>(path: string, options: MediaOptions, work: () => Promise<T>): Promise<T> {
  throwIfCancelled(options.signal, path);
  let result: T;
  try {
    result = await work();
  } catch (cause) {
    const message = cause instanceof Error ? cause.message.split('\n')[0].trim() : String(cause);
    throw unreadable(path, message, cause);
  }
  throwIfCancelled(options.signal, path);
  return result;
}

function unreadable(path: string, reason: string, cause?: unknown): MediaError {
  const tooLarge = /exceeds pixel limit/i.test(reason);
  return new MediaError({
    where: path,
    expected: 'a readable png, jpg, webp or gif image',
    got: tooLarge
      ? `a picture larger than the pixel limit (${reason})`
      : `damaged or unreadable data (${reason})`,
    cause,
  });
}
