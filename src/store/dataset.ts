import { extname } from 'node:path';
import {
  kindOfMedia,
  MediaError,
  type MediaKind,
  type MediaOptions,
  PHOTO_EXTENSIONS,
} from '../media/index.ts';
import { type CaptionSource, DatasetError, type DatasetOptions, listDataset } from './dataset-listing.ts';

export {
  type CaptionSource,
  DatasetError,
  type DatasetListing,
  type ListedFile,
  listDataset,
} from './dataset-listing.ts';

/** A photo or clip with its caption. */
export interface DatasetItem {
  /** Absolute. */
  readonly path: string;
  /** By a look at the beginning of the file; for files that cannot be opened, by their name. */
  readonly kind: MediaKind;
  readonly caption: string;
  readonly captionSource: CaptionSource;
  /** Picture beside it that is white where the subject is. */
  readonly mask?: string;
}

const NAMED_FILES = 5;

/**
 * Reads a data set: one photo or clip, a plain folder of them, or the official layout (`videos/`, `videos.txt`,
 * `prompts.txt`, line i to line i). Captions come from the prompt given, else from a text file of the same name
 * next to the file, else from `prompts.txt`. Files are not decoded here: a broken one is refused by name when
 * it is. Throws {@link DatasetError} where files or captions are missing.
 */
export async function readDataset(
  path: string,
  options: DatasetOptions & MediaOptions = {},
): Promise<readonly DatasetItem[]> {
  const { files } = await listDataset(path, options);
  const bare = files.filter(({ caption }) => caption === undefined);
  if (bare.length > 0) {
    const names = bare.slice(0, NAMED_FILES).map((file) => file.path);
    const more = bare.length > NAMED_FILES ? ` and ${bare.length - NAMED_FILES} more` : '';
    throw new DatasetError({
      where: path,
      expected: 'a caption for every photo and clip',
      got: `none for ${names.join(', ')}${more}`,
      hint: 'give a prompt for all of them, a text file of the same name next to each, or prompts.txt with a line for each',
    });
  }
  const items: DatasetItem[] = [];
  for (const { path: file, caption, mask } of files) {
    const kind = await kindOrGuess(file, options);
    items.push({
      path: file,
      kind,
      caption: caption!.text,
      captionSource: caption!.source,
      ...(mask && { mask }),
    });
  }
  return items;
}

async function kindOrGuess(path: string, options: MediaOptions): Promise<MediaKind> {
  try {
    return await kindOfMedia(path, options);
  } catch (error) {
    if (!(error instanceof MediaError)) throw error;
    return PHOTO_EXTENSIONS.has(extname(path).toLowerCase()) ? 'photo' : 'clip';
  }
}
