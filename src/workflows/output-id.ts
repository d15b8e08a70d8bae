import { createHash } from 'node:crypto';

/** What `requireSafeName` allows. */
const MAXIMUM_LENGTH = 64;

/** "A bear, playing guitar!" → "a-bear-playing-guitar"; letters lose their accents. */
function slug(text: string, length: number): string {
  const words = text
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return words.slice(0, length).replace(/-+$/, '') || 'video';
}

/**
 * The folder name of one video: readable, and different for every recipe that gives a different video, so
 * that asking again for the same one finds it (finished or not) and goes on there.
 */
export function outputId(prompt: string, seed: number, recipe: object): string {
  const digest = createHash('sha256').update(JSON.stringify(recipe)).digest('hex').slice(0, 8);
  const end = `-s${seed}-${digest}`;
  return slug(prompt, MAXIMUM_LENGTH - end.length) + end;
}
