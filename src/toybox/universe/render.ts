import type { Atlas } from './atlas.ts';
import { CLIP_SIZE, paintShadow, paintSprite, paintView } from './composite.ts';
import { groundAt, type Layout, reach } from './layout.ts';
import { applyLens } from './lens.ts';
import { VIEW } from './perspective.ts';
import type { Scene } from './scenes.ts';
import type { SpriteLevel } from './sprite.ts';

export interface Pixels {
  /** [F, 64, 64, 3] */
  readonly frames: Uint8Array;
  /** The subject's alpha, [F, 64, 64]. */
  readonly mask: Uint8Array;
}

/** A level may be magnified by this much before the next larger one is taken. */
const MAGNIFICATION = 1.1;

/** Thinner than this share of its width a spinning subject does not get. */
const THINNEST = 0.07;

/** Paints a laid-out clip, and takes it through a lens. */
export function renderLayout(atlas: Atlas, scene: Scene, layout: Layout): Pixels {
  const { poses, sprite, size } = layout;
  const count = poses.length;
  const frames = new Uint8Array(count * CLIP_SIZE * CLIP_SIZE * 3);
  const mask = new Uint8Array(count * CLIP_SIZE * CLIP_SIZE);
  const view = atlas.view(scene.id, layout.viewIndex);
  const zoom = CLIP_SIZE / layout.window.side;
  poses.forEach((pose, frame) => {
    const pixelCount = CLIP_SIZE * CLIP_SIZE;
    const canvas = {
      rgb: frames.subarray(frame * pixelCount * 3, (frame + 1) * pixelCount * 3),
      mask: mask.subarray(frame * pixelCount, (frame + 1) * pixelCount),
    };
    const [driftX, driftY] = layout.drift.map((speed) => speed * frame);
    const window = {
      ...layout.window,
      left: layout.window.left + driftX,
      top: layout.window.top + driftY,
    };
    paintView(canvas.rgb, view, VIEW.width, VIEW.height, window, layout.viewGain);

    const { halfWidth, halfHeight } = reach(sprite, size, pose);
    const x = layout.x + pose.x - driftX * zoom;
    const ground = groundAt(layout.horizon, layout.ground, pose) - driftY * zoom;
    if (layout.shadow > 0 && pose.opacity > 0) {
      const fade = 1 / (1 + pose.lift / 14);
      const radiusX = halfWidth * (0.8 + pose.lift / 120) + 1.5;
      const strength = layout.shadow * fade * pose.opacity;
      paintShadow(canvas.rgb, x, ground - 0.4, radiusX, Math.max(radiusX * 0.24, 1.6), strength);
    }
    if (pose.opacity <= 0) return;

    const scaleX = Math.sign(pose.scaleX || 1) * Math.max(Math.abs(pose.scaleX), THINNEST);
    const largest = Math.max(Math.abs(scaleX), Math.abs(pose.scaleY)) * pose.nearness * size;
    const level = levelFor(sprite.levels, largest);
    const perPixel = (size * pose.nearness) / level.size;
    const { extent } = sprite;
    paintSprite(
      canvas,
      level,
      (layout.firstFrame + frame * layout.stride) % sprite.frames,
      ((extent.left + extent.right) / 2) * level.size - level.originX,
      ((extent.top + extent.bottom) / 2) * level.size - level.originY,
      {
        centreX: x,
        centreY: ground - pose.lift - halfHeight,
        scaleX: scaleX * perPixel * (layout.flipped ? -1 : 1),
        scaleY: pose.scaleY * perPixel,
        rotation: pose.rotation,
        opacity: pose.opacity,
        gain: layout.subjectGain,
      },
    );
  });
  const frameBytes = CLIP_SIZE * CLIP_SIZE * 3;
  for (let at = 0; at < frames.length; at += frameBytes) applyLens(frames.subarray(at, at + frameBytes));
  return { frames, mask };
}

/** The smallest level that need not be magnified. */
function levelFor(levels: readonly SpriteLevel[], size: number): SpriteLevel {
  for (let i = levels.length - 1; i > 0; i--) {
    if (levels[i].size * MAGNIFICATION >= size) return levels[i];
  }
  return levels[0];
}
