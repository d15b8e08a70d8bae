import { createHash } from 'node:crypto';
import { mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { throwIfCancelled } from '../../tensor/errors.ts';
import type { ArtSource } from '../art/source.ts';
import {
  ATLAS_INDEX,
  ATLAS_PIXELS,
  type AtlasIndex,
  artKeys,
  openAtlas,
  recipeHash,
  type SpriteRecord,
} from './atlas.ts';
import { perspectiveView, repairPanorama, toneMap } from './perspective.ts';
import { SCENES } from './scenes.ts';
import { makeSprite } from './sprite.ts';

export interface BuildProgress {
  readonly done: number;
  readonly total: number;
  readonly message: string;
}

export interface BuildOptions {
  readonly onProgress?: (progress: BuildProgress) => void;
  readonly signal?: AbortSignal;
}

/** True where the folder holds an atlas that {@link openAtlas} takes. */
export function hasAtlas(folder: string): boolean {
  try {
    openAtlas(folder);
    return true;
  } catch {
    return false;
  }
}

/**
 * Decodes the art once into `atlas.bin` (about 250 MB) and `atlas.json`. One piece of art is in memory at a time.
 * Both files get their names when they are complete, the index last.
 */
export async function buildAtlas(art: ArtSource, folder: string, options: BuildOptions = {}): Promise<void> {
  const { stills, animations } = artKeys();
  const total = stills.length + animations.length + SCENES.length;
  let done = 0;
  const step = (message: string) => {
    throwIfCancelled(options.signal, 'building the atlas');
    options.onProgress?.({ done, total, message });
    done++;
  };
  await mkdir(folder, { recursive: true });
  const temporary = join(folder, `${ATLAS_PIXELS}.${process.pid}.part`);
  const file = await open(temporary, 'w');
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const append = async (bytes: Uint8Array): Promise<number> => {
    const offset = sizeBytes;
    hash.update(bytes);
    await file.write(bytes);
    sizeBytes += bytes.length;
    return offset;
  };
  const appendSprite = async (frames: Parameters<typeof makeSprite>[0]): Promise<SpriteRecord> => {
    const sprite = makeSprite(frames);
    const levels: SpriteRecord['levels'][number][] = [];
    for (const { pixels, ...level } of sprite.levels) levels.push({ ...level, offset: await append(pixels) });
    return { frames: sprite.frames, extent: sprite.extent, levels };
  };
  try {
    const index = {
      stills: {} as Record<string, SpriteRecord>,
      animations: {} as Record<string, SpriteRecord>,
      views: {} as Record<string, number[]>,
    };
    for (const key of stills) {
      step(`still ${key}`);
      index.stills[key] = await appendSprite([await art.still(key)]);
    }
    for (const key of animations) {
      step(`animation ${key}`);
      index.animations[key] = await appendSprite(await art.animation(key));
    }
    for (const scene of SCENES) {
      step(`scene ${scene.id}`);
      const panorama = repairPanorama(await art.panorama(scene.panorama));
      const linear = scene.yaws.map((yaw) => perspectiveView(panorama, yaw));
      index.views[scene.id] = [];
      for (const view of toneMap(linear, scene.brightness, scene.grade)) {
        index.views[scene.id].push(await append(view));
      }
    }
    await file.sync();
    await file.close();
    await rename(temporary, join(folder, ATLAS_PIXELS));
    const complete: AtlasIndex = {
      recipeHash: recipeHash(),
      contentHash: hash.digest('hex'),
      sizeBytes,
      ...index,
    };
    await writeFile(`${temporary}.json`, JSON.stringify(complete));
    await rename(`${temporary}.json`, join(folder, ATLAS_INDEX));
    options.onProgress?.({ done: total, total, message: 'the atlas is complete' });
  } finally {
    await file.close().catch(() => undefined);
    await rm(temporary, { force: true });
    await rm(`${temporary}.json`, { force: true });
  }
}
