import { createHash } from 'node:crypto';

/** "A dog, playing guitar!" → "a-dog-playing-guitar". */
function slug(text: string): string {
  const words = text
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return words.slice(0, 48).replace(/-+$/, '') || 'video';
}

/**
 * The folder name of one video: readable, and different for every recipe that gives a different video, so
 * that asking again for the same one finds it (finished or not) and goes on there.
 */
export function outputId(prompt: string, seed: number, recipe: object): string {
  const digest = createHash('sha256').update(JSON.stringify(recipe)).digest('hex').slice(0, 8);
  return `${slug(prompt)}-s${seed}-${digest}`;
}
