import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { DualrealError, FileFormatError } from '../../tensor/errors.ts';
import { SUBJECTS } from './catalogue.ts';
import { VIEW } from './perspective.ts';
import { SCENES } from './scenes.ts';
import { type Extent, LEVEL_SIZES, type Sprite, type SpriteLevel } from './sprite.ts';

/** No atlas in the cache folder, or one of another catalogue. */
export class AtlasError extends DualrealError {}

/** Everything that is painted, decoded and reduced: sprites and views. */
export interface Atlas {
  /** SHA-256 of all its pixels: the same for the same art, whatever machine made it. */
  readonly contentHash: string;
  still(key: string): Sprite;
  animation(key: string): Sprite;
  /** Bytes of a view of a scene, [VIEW.height, VIEW.width, 3]. */
  view(scene: string, index: number): Uint8Array;
}

/** Raised when the format of the atlas or the way it is made changes. */
export const ATLAS_VERSION = 1;

export const ATLAS_INDEX = 'atlas.json';
export const ATLAS_PIXELS = 'atlas.bin';

export interface SpriteRecord {
  readonly frames: number;
  readonly extent: Extent;
  readonly levels: readonly (Omit<SpriteLevel, 'pixels'> & { readonly offset: number })[];
}

/** What `atlas.json` holds; offsets point into `atlas.bin`. */
export interface AtlasIndex {
  readonly recipeHash: string;
  readonly contentHash: string;
  readonly sizeBytes: number;
  readonly stills: Readonly<Record<string, SpriteRecord>>;
  readonly animations: Readonly<Record<string, SpriteRecord>>;
  readonly views: Readonly<Record<string, readonly number[]>>;
}

/** The art that the catalogue needs. */
export function artKeys(): { stills: string[]; animations: string[] } {
  const stills = new Set(SUBJECTS.map((subject) => subject.still));
  const animations = new Set(SUBJECTS.flatMap((subject) => Object.values(subject.animations)));
  return { stills: [...stills].sort(), animations: [...animations].sort() };
}

/** Says what an atlas is made from and how: one made by another recipe is not opened. */
export function recipeHash(): string {
  const places = SCENES.map(({ id, panorama, yaws, brightness, grade }) => [
    id,
    panorama,
    yaws,
    brightness,
    grade ?? null,
  ]);
  const recipe = JSON.stringify([ATLAS_VERSION, LEVEL_SIZES, VIEW, artKeys(), places]);
  return createHash('sha256').update(recipe).digest('hex');
}

/**
 * Opens the atlas of a folder. Pixels are read when they are first needed and kept.
 * @throws {AtlasError} where there is none or it was made by another recipe.
 * @throws {FileFormatError} where the pixel file is shorter than its index says.
 */
export function openAtlas(folder: string): Atlas {
  const hint = 'build it with: dualreal toybox preview';
  let text: string;
  try {
    text = readFileSync(join(folder, ATLAS_INDEX), 'utf8');
  } catch (cause) {
    throw new AtlasError({ where: folder, expected: ATLAS_INDEX, got: 'no such file', hint, cause });
  }
  const index = JSON.parse(text) as AtlasIndex;
  if (index.recipeHash !== recipeHash()) {
    const got = `one of recipe ${index.recipeHash.slice(0, 12)}`;
    throw new AtlasError({ where: folder, expected: 'an atlas of this catalogue', got, hint });
  }
  const pixelFile = join(folder, ATLAS_PIXELS);
  const read = (offset: number, length: number): Uint8Array => {
    const bytes = new Uint8Array(length);
    const file = openSync(pixelFile, 'r');
    try {
      const count = readSync(file, bytes, 0, length, offset);
      if (count !== length) {
        throw new FileFormatError({ where: pixelFile, expected: `${index.sizeBytes} bytes`, got: 'fewer' });
      }
    } finally {
      closeSync(file);
    }
    return bytes;
  };
  const sprites = new Map<string, Sprite>();
  const spriteOf = (kind: 'stills' | 'animations', key: string): Sprite => {
    const name = `${kind}/${key}`;
    const kept = sprites.get(name);
    if (kept !== undefined) return kept;
    const record = index[kind][key];
    if (record === undefined) throw new AtlasError({ where: name, expected: 'a sprite', got: 'none', hint });
    const levels = record.levels.map(({ offset, ...level }): SpriteLevel => {
      return { ...level, pixels: read(offset, record.frames * level.width * level.height * 4) };
    });
    const sprite: Sprite = { frames: record.frames, extent: record.extent, levels };
    sprites.set(name, sprite);
    return sprite;
  };
  const views = new Map<string, Uint8Array>();
  return {
    contentHash: index.contentHash,
    still: (key) => spriteOf('stills', key),
    animation: (key) => spriteOf('animations', key),
    view(scene, number) {
      const name = `${scene}/${number}`;
      let bytes = views.get(name);
      if (bytes === undefined) {
        bytes = read(index.views[scene][number], VIEW.width * VIEW.height * 3);
        views.set(name, bytes);
      }
      return bytes;
    },
  };
}
