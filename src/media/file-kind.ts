import { open, stat } from 'node:fs/promises';
import { extname } from 'node:path';
import { MediaError } from './errors.ts';

export type ImageFormat = 'png' | 'jpeg' | 'webp' | 'gif';

export const PHOTO_EXTENSIONS: ReadonlySet<string> = new Set(['.png', '.jpg', '.jpeg', '.webp', '.gif']);
export const CLIP_EXTENSIONS: ReadonlySet<string> = new Set([
  '.mp4',
  '.mov',
  '.m4v',
  '.mkv',
  '.webm',
  '.avi',
  '.mpg',
  '.mpeg',
  '.ts',
  '.flv',
  '.wmv',
  '.ogv',
  '.3gp',
]);

/** Whether the name looks like a photo or clip; the contents decide later. */
export function looksLikeMedia(path: string): boolean {
  const extension = extname(path).toLowerCase();
  return PHOTO_EXTENSIONS.has(extension) || CLIP_EXTENSIONS.has(extension);
}

/**
 * What the first bytes say: an image format, or `video` for everything else (ffmpeg judges that). The name
 * is not asked. Throws {@link MediaError} for what is not a plain, non-empty, readable file.
 */
export async function sniffFile(path: string): Promise<ImageFormat | 'video'> {
  const refuse = (got: string, cause?: unknown) =>
    new MediaError({ where: path, expected: 'a photo or video file', got, cause });
  let facts: Awaited<ReturnType<typeof stat>>;
  try {
    facts = await stat(path);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw refuse(code === 'ENOENT' ? 'no such file' : `an unreadable file (${code})`, cause);
  }
  if (facts.isDirectory()) throw refuse('a folder');
  if (!facts.isFile()) throw refuse('something that is not a plain file');
  if (facts.size === 0) throw refuse('an empty file');
  try {
    const file = await open(path, 'r');
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(16), 0, 16, 0);
      const head = buffer.subarray(0, bytesRead).toString('latin1');
      const format = imageFormat(head);
      if (format !== undefined) return format;
      if (/^.{4}ftyp(heic|heix|hevc|mif1|msf1|avif|avis)/s.test(head)) throw refuse(FOREIGN_PICTURE);
      // Videos under a photo's name exist (a .gif that is an mp4); everything else there is a spoilt photo.
      if (PHOTO_EXTENSIONS.has(extname(path).toLowerCase()) && !looksLikeContainer(head))
        throw refuse(NO_PICTURE);
      return 'video';
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof MediaError) throw cause;
    throw refuse(`an unreadable file (${(cause as NodeJS.ErrnoException).code})`, cause);
  }
}

const FOREIGN_PICTURE = 'a HEIC or AVIF picture, which is not read; convert it to jpg or png';
const NO_PICTURE = 'data that is no png, jpg, webp or gif picture';

function imageFormat(head: string): ImageFormat | undefined {
  if (head.startsWith('\x89PNG\r\n\x1a\n')) return 'png';
  if (head.startsWith('\xff\xd8\xff')) return 'jpeg';
  if (head.startsWith('RIFF') && head.slice(8, 12) === 'WEBP') return 'webp';
  if (head.startsWith('GIF87a') || head.startsWith('GIF89a')) return 'gif';
  return undefined;
}

/** The beginnings of mp4 and mov, of Matroska and WebM, and of avi. */
function looksLikeContainer(head: string): boolean {
  return head.slice(4, 8) === 'ftyp' || head.startsWith('\x1a\x45\xdf\xa3') || head.startsWith('RIFF');
}
