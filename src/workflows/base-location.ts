import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DualrealError } from '../tensor/errors.ts';

/** The word for the base that comes with the project, wherever a base is asked for. */
export const EMBEDDED_BASE = 'toybox';

/** Its folder, from src/workflows or dist/workflows; parts of it may be there before the whole. */
export const EMBEDDED_BASE_FOLDER = fileURLToPath(new URL('../../weights/toybox', import.meta.url));

const INDEX = 'model_index.json';

/** The embedded base is not there, or not whole. */
export class EmbeddedBaseError extends DualrealError {}

/** Whether a folder is a base, as far as one look tells. */
export function isBaseFolder(folder: string): boolean {
  return existsSync(join(folder, INDEX));
}

/** A base as requests keep it: the word, which means the same in any folder, or an absolute path. */
export function absoluteBase(base: string): string {
  return base === EMBEDDED_BASE ? base : resolve(base);
}

export interface BaseLocation {
  readonly folder: string;
  /** What a user should know about the choice. */
  readonly notice: string | undefined;
}

/**
 * The folder of a base. The word `toybox` is always the embedded one; a folder of that name is reached by a
 * path such as ./toybox, and where there is one, the notice says so.
 */
export function locateBase(base: string, embedded: string = EMBEDDED_BASE_FOLDER): BaseLocation {
  if (base !== EMBEDDED_BASE) return { folder: base, notice: undefined };
  if (!isBaseFolder(embedded)) {
    throw new EmbeddedBaseError({
      where: `base ${EMBEDDED_BASE}`,
      expected: `the base that comes with dualreal, in ${embedded}`,
      got: existsSync(embedded)
        ? 'a folder without a transformer, which is still being trained'
        : 'no folder',
      hint: 'give another base with --base; dualreal base init models/small makes one with random weights to try things on',
    });
  }
  const shadowed = isBaseFolder(resolve(EMBEDDED_BASE)) && resolve(EMBEDDED_BASE) !== resolve(embedded);
  return {
    folder: embedded,
    notice: shadowed
      ? `the base ${EMBEDDED_BASE} is the one that comes with dualreal; for the folder of that name here, write ./${EMBEDDED_BASE}`
      : undefined,
  };
}

/** The base of adapters that come without a run: the embedded one where they were trained on it. */
export function baseOfAdapter(recipeName: string | null | undefined): string | undefined {
  return recipeName === EMBEDDED_BASE ? EMBEDDED_BASE : undefined;
}
