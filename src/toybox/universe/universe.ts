import { join } from 'node:path';
import { DualrealError } from '../../tensor/errors.ts';
import { randomStream } from '../../tensor/random.ts';
import { DEFAULT_ART_FOLDER, type InstallOptions, installArt } from '../art/install.ts';
import { openPackageArt } from '../art/package-art.ts';
import { type Atlas, openAtlas } from './atlas.ts';
import { type BuildOptions, buildAtlas, hasAtlas } from './atlas-build.ts';
import { type Catalogue, catalogueOf, type Split } from './catalogue.ts';
import { layOut } from './layout.ts';
import type { Stage } from './motions.ts';
import { type ClipDescription, describeClip } from './plan.ts';
import { renderLayout } from './render.ts';

/** A universe was asked for something that it has not. */
export class UniverseError extends DualrealError {}

export interface UniverseOptions {
  readonly seed: number;
  readonly split: Split;
  /** Frames of each sample: 1, 5, 9, … (4k + 1) at 8 frames per second. With 1, samples are captioned pictures. */
  readonly frames: number;
  /** Default 1: what pretraining starts with. */
  readonly stage?: Stage;
  /** Holds the folder of the atlas (see {@link prepareUniverse}); default `.cache`. */
  readonly cacheFolder?: string;
  /** An atlas that is already open, instead of the one in the cache folder. */
  readonly atlas?: Atlas;
}

export interface ClipLabels {
  readonly subject: string;
  /** null in pictures of a subject at rest. */
  readonly motion: string | null;
  readonly scene: string;
}

export interface RenderedClip {
  /** RGB, [F, 64, 64, 3] */
  readonly frames: Uint8Array;
  /** The subject's alpha, [F, 64, 64] */
  readonly mask: Uint8Array;
  readonly caption: string;
  readonly labels: ClipLabels;
}

/** Captioned clips, as many as there are indices. Each is a pure function of (seed, split, stage, frames, index). */
export interface Universe {
  readonly catalogue: Catalogue;
  /** Of the art: two universes with the same options and art hash give the same bytes. */
  readonly artHash: string;
  describe(index: number): ClipDescription;
  render(index: number): RenderedClip;
}

export const DEFAULT_CACHE_FOLDER = '.cache';
const ATLAS_FOLDER = 'toybox-atlas';

/**
 * The universe of a split.
 * @throws {UniverseError} where `frames` is not 4k + 1.
 * @throws {AtlasError} where the cache folder holds no atlas.
 */
export function createUniverse(options: UniverseOptions): Universe {
  const { seed, split, frames, stage = 1 } = options;
  if (!Number.isInteger(frames) || frames < 1 || frames % 4 !== 1) {
    throw new UniverseError({ where: 'universe', expected: '4k + 1 frames', got: `${frames}` });
  }
  const atlas = options.atlas ?? openUniverseAtlas(options.cacheFolder);
  const catalogue = catalogueOf(split, stage);
  const streamOf = (index: number) => randomStream(seed, 'toybox', split, stage, frames, index);
  return {
    catalogue,
    artHash: atlas.contentHash,
    describe: (index) => describeClip(streamOf(index), catalogue, frames),
    render(index) {
      const stream = streamOf(index);
      const content = describeClip(stream, catalogue, frames);
      const layout = layOut(stream, atlas, content, frames);
      return {
        ...renderLayout(atlas, content.scene, layout),
        caption: content.caption,
        labels: {
          subject: content.subject.id,
          motion: content.motion?.id ?? null,
          scene: content.scene.id,
        },
      };
    },
  };
}

export function openUniverseAtlas(cacheFolder = DEFAULT_CACHE_FOLDER): Atlas {
  return openAtlas(join(cacheFolder, ATLAS_FOLDER));
}

export interface PrepareProgress {
  readonly phase: 'install' | 'decode';
  readonly done: number;
  readonly total: number;
  readonly message: string;
}

export interface PrepareOptions {
  readonly cacheFolder?: string;
  readonly artFolder?: string;
  readonly onProgress?: (progress: PrepareProgress) => void;
  readonly signal?: AbortSignal;
}

/** Installs the art and decodes it, where that has not been done: minutes and a gigabyte of disk, once. */
export async function prepareUniverse(options: PrepareOptions = {}): Promise<void> {
  const folder = join(options.cacheFolder ?? DEFAULT_CACHE_FOLDER, ATLAS_FOLDER);
  if (hasAtlas(folder)) return;
  const { onProgress, signal, artFolder = DEFAULT_ART_FOLDER } = options;
  const install: InstallOptions = {
    folder: artFolder,
    onProgress: ({ installed, total, message }) =>
      onProgress?.({ phase: 'install', done: installed, total, message }),
    ...(signal && { signal }),
  };
  await installArt(install);
  const build: BuildOptions = {
    onProgress: ({ done, total, message }) => onProgress?.({ phase: 'decode', done, total, message }),
    ...(signal && { signal }),
  };
  await buildAtlas(await openPackageArt(artFolder), folder, build);
}
