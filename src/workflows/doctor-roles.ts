import { kindOfMedia } from '../media/index.ts';
import { listDataset } from '../store/dataset.ts';
import { DualrealError } from '../tensor/errors.ts';

/** Sorts paths given without a role: what holds mostly photos is a subject, the rest motions. */
export async function assignRoles(
  paths: readonly string[],
): Promise<{ readonly subject: readonly string[]; readonly motion: readonly string[] }> {
  const subject: string[] = [];
  const motion: string[] = [];
  for (const path of paths) ((await holdsPhotos(path)) ? subject : motion).push(path);
  return { subject, motion };
}

async function holdsPhotos(path: string): Promise<boolean> {
  try {
    const { files } = await listDataset(path);
    let photos = 0;
    for (const { path: file } of files)
      if ((await kindOfMedia(file).catch(() => 'clip')) === 'photo') photos++;
    return photos * 2 > files.length;
  } catch (error) {
    // What cannot be listed is reported by the examination itself, under either role.
    if (error instanceof DualrealError) return false;
    throw error;
  }
}
