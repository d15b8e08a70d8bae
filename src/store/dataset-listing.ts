import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, extname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { looksLikeMedia } from '../media/index.ts';
import { DualrealError } from '../tensor/errors.ts';
import { readCaption, readLines } from './dataset-text.ts';

/** A data set that cannot be used as it is: files are missing, lines do not match, captions are absent. */
export class DatasetError extends DualrealError {}

/** Where a caption came from: the request's prompt, a text file next to the photo or clip, or `prompts.txt`. */
export type CaptionSource = 'prompt' | 'sidecar' | 'prompts.txt';

/** One file of a data set, before anything was decoded. */
export interface ListedFile {
  /** Absolute. */
  readonly path: string;
  readonly caption?: { readonly text: string; readonly source: CaptionSource };
  /** Picture beside it that is white where the subject is: `dog.mask.png` for `dog.jpg`. */
  readonly mask?: string;
}

/** What a data set's path holds. */
export interface DatasetListing {
  readonly path: string;
  /** `official`: `videos.txt` names the files and `prompts.txt` their captions, line by line. */
  readonly layout: 'file' | 'folder' | 'official';
  readonly files: readonly ListedFile[];
  /** Names in a plain folder that are neither photos, clips nor captions, e.g. `IMG_1.heic`. */
  readonly ignored: readonly string[];
}

export interface DatasetOptions {
  /** One caption for every file; goes before all others. */
  readonly prompt?: string | undefined;
}

const VIDEO_LIST = 'videos.txt';
const PROMPT_LIST = 'prompts.txt';
const MASK = '.mask.png';

/** Finds the files and captions of a data set without opening the media. Throws {@link DatasetError}. */
export async function listDataset(path: string, options: DatasetOptions = {}): Promise<DatasetListing> {
  const absolute = resolve(path);
  if (options.prompt?.trim() === '') {
    throw new DatasetError({ where: path, expected: 'a prompt with words', got: 'an empty one' });
  }
  if (!(await isFolder(absolute))) return listFile(absolute, options);
  const names = await readdir(absolute);
  return names.includes(VIDEO_LIST)
    ? listOfficial(absolute, names, options)
    : listFolder(absolute, names, options);
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const got = code === 'ENOENT' ? 'nothing at this path' : `an unreadable path (${code})`;
    throw new DatasetError({
      where: path,
      expected: 'a folder of photos or clips, or one such file',
      got,
      cause,
    });
  }
}

async function listFile(path: string, options: DatasetOptions): Promise<DatasetListing> {
  if (!looksLikeMedia(path)) {
    throw new DatasetError({
      where: path,
      expected: 'a photo (png, jpg, webp, gif) or a clip (mp4, mov, mkv, webm, avi, …)',
      got: `a file ending in ${extname(path) || 'nothing'}`,
    });
  }
  const names = await readdir(dirname(path));
  return { path, layout: 'file', files: [await captioned(path, names, undefined, options)], ignored: [] };
}

async function listFolder(
  path: string,
  names: readonly string[],
  options: DatasetOptions,
): Promise<DatasetListing> {
  const visible = names.filter((name) => !name.startsWith('.')).sort(byName);
  const masks = masksAmong(visible);
  const media = visible.filter((name) => looksLikeMedia(name) && !masks.has(name));
  if (media.length === 0) throw await noMedia(path, visible);
  const lines = names.includes(PROMPT_LIST) ? await readLines(join(path, PROMPT_LIST)) : undefined;
  if (lines && lines.length !== 1 && lines.length !== media.length) {
    throw new DatasetError({
      where: join(path, PROMPT_LIST),
      expected: `one line for all, or one for each of the ${media.length} photos and clips in order of their names`,
      got: `${lines.length} lines`,
    });
  }
  const files = await Promise.all(
    media.map((name, index) =>
      captioned(join(path, name), names, lines && (lines[index] ?? lines[0]), options),
    ),
  );
  const ignored = visible.filter(
    (name) => !media.includes(name) && !masks.has(name) && extname(name).toLowerCase() !== '.txt',
  );
  return { path, layout: 'folder', files, ignored };
}

async function listOfficial(
  path: string,
  names: readonly string[],
  options: DatasetOptions,
): Promise<DatasetListing> {
  const videos = await readLines(join(path, VIDEO_LIST));
  const prompts = names.includes(PROMPT_LIST) ? await readLines(join(path, PROMPT_LIST)) : undefined;
  if (videos.length === 0) {
    throw new DatasetError({
      where: join(path, VIDEO_LIST),
      expected: 'at least one file name',
      got: 'none',
    });
  }
  if (prompts && prompts.length !== videos.length && options.prompt === undefined) {
    throw new DatasetError({
      where: join(path, PROMPT_LIST),
      expected: `${videos.length} lines, one for each line of ${VIDEO_LIST}`,
      got: `${prompts.length}`,
    });
  }
  const root = await realpath(path);
  const files = await Promise.all(
    videos.map(async (line, index) => {
      const file = await memberPath(path, root, line, index + 1);
      return captioned(file, [], prompts?.[index], options, await readdir(dirname(file)));
    }),
  );
  return { path, layout: 'official', files, ignored: [] };
}

/** The file that a line of `videos.txt` names; it must be there and inside the folder, links included. */
async function memberPath(folder: string, root: string, line: string, lineNumber: number): Promise<string> {
  const where = `${join(folder, VIDEO_LIST)}, line ${lineNumber}`;
  const path = resolve(folder, line);
  const outside = (base: string, target: string) => {
    const way = relative(base, target);
    return way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way);
  };
  const escapes = () =>
    new DatasetError({ where, expected: 'a path inside the data set folder', got: JSON.stringify(line) });
  if (isAbsolute(line) || /^[A-Za-z]:|\\|\0/.test(line) || outside(folder, path)) throw escapes();
  let real: string;
  try {
    real = await realpath(path);
  } catch (cause) {
    throw new DatasetError({ where, expected: 'a file that exists', got: `${path}, which does not`, cause });
  }
  if (outside(root, real)) throw escapes();
  return path;
}

async function captioned(
  path: string,
  siblings: readonly string[],
  line: string | undefined,
  options: DatasetOptions,
  neighbours: readonly string[] = siblings,
): Promise<ListedFile> {
  const stem = basename(path, extname(path));
  const found = neighbours.includes(stem + MASK) ? { mask: join(dirname(path), stem + MASK) } : {};
  if (options.prompt !== undefined)
    return { path, caption: { text: options.prompt.trim(), source: 'prompt' }, ...found };
  const sidecar = `${stem}.txt`;
  if (siblings.includes(sidecar) && sidecar !== PROMPT_LIST) {
    const text = await readCaption(join(dirname(path), sidecar));
    return { path, caption: { text, source: 'sidecar' }, ...found };
  }
  return line === undefined
    ? { path, ...found }
    : { path, caption: { text: line, source: 'prompts.txt' }, ...found };
}

/** `dog.mask.png` beside `dog.jpg` is no photo of its own. */
function masksAmong(names: readonly string[]): ReadonlySet<string> {
  const stems = new Set(names.filter(looksLikeMedia).map((name) => basename(name, extname(name))));
  return new Set(names.filter((name) => name.endsWith(MASK) && stems.has(name.slice(0, -MASK.length))));
}

/** `2.png` before `10.png`, the same on every machine. */
function byName(a: string, b: string): number {
  return COLLATOR.compare(a, b) || (a < b ? -1 : 1);
}

const COLLATOR = new Intl.Collator('en', { numeric: true });

async function noMedia(path: string, names: readonly string[]): Promise<DatasetError> {
  const folders: string[] = [];
  for (const name of names) if ((await stat(join(path, name))).isDirectory()) folders.push(name);
  return new DatasetError({
    where: path,
    expected: 'photos (png, jpg, webp, gif) or clips (mp4, mov, mkv, webm, avi, …) in the folder',
    got: names.length === 0 ? 'an empty folder' : `none among ${names.slice(0, 5).join(', ')}`,
    ...(folders.length > 0
      ? { hint: `did you mean its subfolder ${folders.slice(0, 3).join(' or ')}?` }
      : {}),
  });
}
