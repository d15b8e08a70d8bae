import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import sharp from 'sharp';
import { ArtError, missingArt } from './install.ts';
import { ANIMATION_PACKAGES, PANORAMA_PACKAGE, STILL_PACKAGE } from './packages.ts';
import type { ArtSource, Panorama, Picture } from './source.ts';

/** The animations play at 24 frames per second; clips at 8. */
const SOURCE_FRAMES_PER_CLIP_FRAME = 3;

/** What we use of three's EXRLoader. Its rows run from the bottom to the top. */
interface ExrLoader {
  setDataType(type: number): void;
  parse(buffer: ArrayBuffer): { data: Float32Array; width: number; height: number };
}
const THREE_FLOAT_TYPE = 1015;

/** File names are code points with or without the variation selector; a key is one without. */
export function artKey(fileName: string): string {
  return fileName.replace(/\.webp$/, '').replaceAll('-fe0f', '');
}

function listFolder(folder: string, packageName: string, index: Map<string, string>): void {
  const assets = join('node_modules', packageName, 'assets');
  for (const file of readdirSync(join(folder, assets))) {
    if (file.endsWith('.webp')) index.set(artKey(file), `${packageName}/assets/${file}`);
  }
}

/**
 * The art of the installed packages.
 * @throws {ArtError} where a package is missing.
 */
export async function openPackageArt(folder: string): Promise<ArtSource> {
  const missing = await missingArt(folder);
  if (missing.length > 0) {
    const hint = 'install the art first: dualreal toybox preview does it';
    throw new ArtError({ where: folder, expected: missing.join(', '), got: 'nothing there', hint });
  }
  const stills = new Map<string, string>();
  const animations = new Map<string, string>();
  listFolder(folder, STILL_PACKAGE, stills);
  for (const name of ANIMATION_PACKAGES) listFolder(folder, name, animations);

  const find = (index: Map<string, string>, kind: string, key: string): string => {
    const file = index.get(key);
    if (file === undefined) throw new ArtError({ where: `${kind} ${key}`, expected: 'a file', got: 'none' });
    return file;
  };
  const stillFile = (key: string) => find(stills, 'still', key);
  const animationFile = (key: string) => find(animations, 'animation', key);
  const panoramaFile = (key: string) => `${PANORAMA_PACKAGE}/hdri/${key}.exr.js`;
  const at = (file: string) => join(folder, 'node_modules', file);

  return {
    name: folder,
    stillFile,
    animationFile,
    panoramaFile,
    still: (key) => readStill(at(stillFile(key))),
    animation: (key) => readAnimation(at(animationFile(key))),
    panorama: (key) => readPanorama(folder, at(panoramaFile(key))),
  };
}

async function readStill(file: string): Promise<Picture> {
  const { data, info } = await sharp(file).ensureAlpha().raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, rgba: data };
}

async function readAnimation(file: string): Promise<Picture[]> {
  const { data, info } = await sharp(file, { animated: true })
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  const pages = info.pages ?? 1;
  const height = info.height / pages;
  if (pages < 2 * SOURCE_FRAMES_PER_CLIP_FRAME || height !== info.width) {
    throw new ArtError({ where: file, expected: 'a square animation', got: `${pages} frames` });
  }
  // The loop's length is rarely a multiple of 3, so the loop is sampled evenly: speed changes by < 3 %.
  const count = Math.round(pages / SOURCE_FRAMES_PER_CLIP_FRAME);
  const pageSize = info.width * height * 4;
  return Array.from({ length: count }, (_, index) => {
    const page = Math.floor((index * pages) / count);
    return { width: info.width, height, rgba: data.subarray(page * pageSize, (page + 1) * pageSize) };
  });
}

async function readPanorama(folder: string, file: string): Promise<Panorama> {
  const loaderFile = resolve(folder, 'node_modules/three/examples/jsm/loaders/EXRLoader.js');
  if (!existsSync(file)) throw new ArtError({ where: file, expected: 'a panorama', got: 'no such file' });
  const { EXRLoader } = (await import(/* @vite-ignore */ pathToFileURL(loaderFile).href)) as {
    EXRLoader: new () => ExrLoader;
  };
  // The package wraps each picture as a module that exports a data address.
  const base64 = /base64,([A-Za-z0-9+/=]+)/.exec(await readFile(file, 'utf8'))?.[1];
  if (base64 === undefined) throw new ArtError({ where: file, expected: 'base64 data', got: 'none' });
  const bytes = Uint8Array.from(Buffer.from(base64, 'base64'));
  const loader = new EXRLoader();
  loader.setDataType(THREE_FLOAT_TYPE);
  const { data, width, height } = loader.parse(bytes.buffer);
  const channels = data.length / (width * height);
  const rgb = new Float32Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = ((height - 1 - y) * width + x) * channels;
      rgb.set(data.subarray(from, from + 3), (y * width + x) * 3);
    }
  }
  return { width, height, rgb };
}
