import type { ArtSource, Panorama, Picture } from '../art/source.ts';
import type { Atlas } from './atlas.ts';
import { perspectiveView, repairPanorama, toneMap } from './perspective.ts';
import { sceneById } from './scenes.ts';
import { makeSprite, type Sprite } from './sprite.ts';

/**
 * Art drawn by arithmetic, so that the renderer is tested without the packages: every key has its own shape and
 * colours, animations swing an arm, panoramas have a sky, a floor and a coloured pillar in front.
 */
const SIDE = 48;

function hashOf(key: string): number {
  let hash = 2166136261;
  for (const character of key) hash = Math.imul(hash ^ character.charCodeAt(0), 16777619);
  hash ^= hash >>> 13;
  return Math.imul(hash, 0x5bd1e995) >>> 0;
}

/** A body, two-coloured, with an arm at `angle`. */
export function drawnPicture(key: string, angle = 0): Picture {
  const hash = hashOf(key);
  const rgba = new Uint8Array(SIDE * SIDE * 4);
  const round = 1 + (hash % 3);
  const slim = 0.25 + ((hash >>> 3) % 5) * 0.06;
  const colour = [hash & 255, (hash >>> 8) & 255, (hash >>> 16) & 255];
  const armX = Math.cos(angle);
  const armY = Math.sin(angle);
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      const u = (x + 0.5) / SIDE - 0.5;
      const v = (y + 0.5) / SIDE - 0.5;
      const body = Math.abs(u / slim) ** (round + 1) + Math.abs(v / 0.42) ** (round + 1) <= 1;
      const along = u * armX + v * armY;
      const arm = along > 0 && along < 0.45 && Math.abs(u * armY - v * armX) < 0.05;
      if (!body && !arm) continue;
      const upper = v < 0 ? 1 : 0.5;
      const at = (y * SIDE + x) * 4;
      rgba.set([...colour.map((value) => Math.round((64 + value * 0.75) * (arm ? 0.15 : upper))), 255], at);
    }
  }
  return { width: SIDE, height: SIDE, rgba };
}

export function drawnAnimation(key: string): Picture[] {
  const count = 3 + (hashOf(key) % 2);
  return Array.from({ length: count }, (_, frame) => drawnPicture(key, (2 * Math.PI * frame) / count));
}

export function drawnPanorama(key: string): Panorama {
  const [width, height] = [64, 32];
  const hash = hashOf(key);
  const rgb = new Float32Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const floor = y >= height / 2;
      const checker = floor && (x + y) % 4 < 2 ? 0.6 : 1;
      const pillar = Math.abs(x - width / 2) < 2 && y > 8;
      for (let c = 0; c < 3; c++) {
        const hue = 0.1 + ((hash >>> (8 * c)) & 255) / 255;
        rgb[(y * width + x) * 3 + c] = (floor ? 0.5 : 1) * checker * (pillar ? 1.1 - hue : hue);
      }
    }
  }
  return { width, height, rgb };
}

export const DRAWN_ART: ArtSource = {
  name: 'drawn',
  still: async (key) => drawnPicture(key),
  animation: async (key) => drawnAnimation(key),
  panorama: async (key) => drawnPanorama(key),
  stillFile: (key) => `@lobehub/fluent-emoji-3d/assets/${key}.webp`,
  animationFile: (key) => `@lobehub/fluent-emoji-anim-1/assets/${key}.webp`,
  panoramaFile: (key) => `@pmndrs/assets/hdri/${key}.exr.js`,
};

/** The atlas of the drawn art, made in memory as it is needed. */
export function drawnAtlas(): Atlas {
  const sprites = new Map<string, Sprite>();
  const spriteOf = (key: string, draw: () => Picture[]): Sprite => {
    const sprite = sprites.get(key) ?? makeSprite(draw());
    sprites.set(key, sprite);
    return sprite;
  };
  const views = new Map<string, Uint8Array[]>();
  return {
    contentHash: 'drawn',
    still: (key) => spriteOf(`still ${key}`, () => [drawnPicture(key)]),
    animation: (key) => spriteOf(`animation ${key}`, () => drawnAnimation(key)),
    view(id, index) {
      const scene = sceneById(id);
      let known = views.get(id);
      if (known === undefined) {
        const panorama = repairPanorama(drawnPanorama(scene.panorama));
        const linear = scene.yaws.map((yaw) => perspectiveView(panorama, yaw));
        known = toneMap(linear, scene.brightness, scene.grade);
        views.set(id, known);
      }
      return known[index];
    },
  };
}
