import { floats } from '../../tensor/host-tensor.ts';
import { type RandomStream, randomStream } from '../../tensor/random.ts';
import type { Atlas } from '../universe/atlas.ts';
import { type Catalogue, catalogueOf, isHeldOutCombination, type Subject } from '../universe/catalogue.ts';
import { layOut } from '../universe/layout.ts';
import type { Content } from '../universe/plan.ts';
import { type Pixels, renderLayout } from '../universe/render.ts';
import type { Scene } from '../universe/scenes.ts';
import { openUniverseAtlas } from '../universe/universe.ts';
import { DINO_PREPROCESS, DINO_RECIPE, SIDE } from './configs.ts';
import type { Batcher, BatchRequest } from './task.ts';

export const LOCAL_VIEWS = 4;
/** Side of the small views, in pixels. */
export const LOCAL_SIDE = 32;

/** Share of pictures that show a moment of a motion, so that tilts and stretches are known. */
const MOMENT_SHARE = 0.3;
/** Share of subjects that are recoloured, both views alike, which makes more subjects of them. */
const RECOLOURED_SHARE = 0.5;
/**
 * Scenes of a batch. So few that every view meets many others of its own scene, which it must be told apart
 * from, while its partner is in another: what they have in common cannot be the place.
 */
const SCENES = 3;

/**
 * Views of one subject each: two renderings in different scenes, and small crops around the subject from
 * either. No subject stands twice in a batch.
 */
export function dinoBatcher({ seed, cacheFolder, batch = DINO_RECIPE.batch }: BatchRequest): Batcher {
  const atlas = openUniverseAtlas(cacheFolder);
  const catalogue = catalogueOf('pretraining', DINO_RECIPE.stage);
  const { subjects, scenes } = catalogue;
  return (step) => {
    const whole = new Float32Array(2 * batch * 3 * SIDE * SIDE);
    const small = new Float32Array(LOCAL_VIEWS * batch * 3 * LOCAL_SIDE * LOCAL_SIDE);
    const order = randomStream(seed, 'subjects', step).permutation(subjects.length);
    const places = randomStream(seed, 'scenes', step).permutation(scenes.length).slice(0, SCENES);
    for (let b = 0; b < batch; b++) {
      const stream = randomStream(seed, 'views', step, b);
      const subject = subjects[order[b % subjects.length]];
      const own = stream.permutation(SCENES);
      const angle = stream.uniform() < RECOLOURED_SHARE ? stream.uniform() * 2 * Math.PI : 0;
      const pictures = [0, 1].map((view) => {
        const pixels = renderOne(stream, atlas, catalogue, subject, scenes[places[own[view]]]);
        return { ...pixels, frames: recoloured(pixels, angle) };
      });
      for (const [view, picture] of pictures.entries()) {
        const crop = wholeCrop(stream, picture.mask);
        writeView(whole, view * batch + b, SIDE, picture.frames, crop, stream);
      }
      for (let view = 0; view < LOCAL_VIEWS; view++) {
        const picture = pictures[view % 2];
        const crop = smallCrop(stream, picture.mask);
        writeView(small, view * batch + b, LOCAL_SIDE, picture.frames, crop, stream);
      }
    }
    return {
      whole: floats([2 * batch, 3, SIDE, SIDE], whole),
      small: floats([LOCAL_VIEWS * batch, 3, LOCAL_SIDE, LOCAL_SIDE], small),
    };
  };
}

function renderOne(
  stream: RandomStream,
  atlas: Atlas,
  { castings }: Catalogue,
  subject: Subject,
  scene: Scene,
): Pixels {
  let content: Content = { subject, scene };
  if (stream.uniform() < MOMENT_SHARE) {
    const { motion } = stream.pick(castings.filter((casting) => casting.motion.kind === 'procedural'));
    if (!isHeldOutCombination(subject.id, motion.id, scene.id)) content = { subject, scene, motion };
  }
  return renderLayout(atlas, scene, layOut(stream, atlas, content, 1));
}

/** The subject's hue turned by `angle` (in YIQ); the background stays. */
function recoloured({ frames, mask }: Pixels, angle: number): Uint8Array {
  if (angle === 0) return frames;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const out = frames.slice();
  for (let pixel = 0; pixel < mask.length; pixel++) {
    const share = mask[pixel] / 255;
    if (share === 0) continue;
    const at = pixel * 3;
    const [red, green, blue] = [frames[at], frames[at + 1], frames[at + 2]];
    const y = 0.299 * red + 0.587 * green + 0.114 * blue;
    const i = 0.596 * red - 0.274 * green - 0.322 * blue;
    const q = 0.211 * red - 0.523 * green + 0.312 * blue;
    const [turnedI, turnedQ] = [i * cos - q * sin, i * sin + q * cos];
    const turned = [
      y + 0.956 * turnedI + 0.621 * turnedQ,
      y - 0.272 * turnedI - 0.647 * turnedQ,
      y - 1.106 * turnedI + 1.703 * turnedQ,
    ];
    for (let c = 0; c < 3; c++) {
      const value = frames[at + c] + share * (turned[c] - frames[at + c]);
      out[at + c] = Math.min(255, Math.max(0, Math.round(value)));
    }
  }
  return out;
}

interface Crop {
  readonly left: number;
  readonly top: number;
  readonly side: number;
}

/** Most of the picture, the subject's middle always inside. */
function wholeCrop(stream: RandomStream, mask: Uint8Array): Crop {
  const side = 44 + 20 * stream.uniform();
  const [x, y] = middleOf(mask);
  const place = (middle: number) => {
    const low = Math.max(0, middle + 8 - side);
    const high = Math.min(SIDE - side, middle - 8);
    return high > low ? low + stream.uniform() * (high - low) : Math.min(Math.max(low, 0), SIDE - side);
  };
  return { left: place(x), top: place(y), side };
}

/** A part around a point of the subject. */
function smallCrop(stream: RandomStream, mask: Uint8Array): Crop {
  const side = 18 + 16 * stream.uniform();
  const inside: number[] = [];
  for (let pixel = 0; pixel < mask.length; pixel++) if (mask[pixel] > 127) inside.push(pixel);
  const pixel = inside.length > 0 ? stream.pick(inside) : stream.integer(mask.length);
  const place = (middle: number) => Math.min(Math.max(middle - side / 2, 0), SIDE - side);
  return { left: place(pixel % SIDE), top: place(Math.floor(pixel / SIDE)), side };
}

function middleOf(mask: Uint8Array): [x: number, y: number] {
  let [sumX, sumY, weight] = [0, 0, 0];
  for (let pixel = 0; pixel < mask.length; pixel++) {
    sumX += mask[pixel] * (pixel % SIDE);
    sumY += mask[pixel] * Math.floor(pixel / SIDE);
    weight += mask[pixel];
  }
  return weight === 0 ? [SIDE / 2, SIDE / 2] : [sumX / weight, sumY / weight];
}

/** Writes a crop, resized bilinearly, mirrored and relit at random, normalised. */
function writeView(
  out: Float32Array,
  row: number,
  size: number,
  frame: Uint8Array,
  { left, top, side }: Crop,
  stream: RandomStream,
): void {
  const mirrored = stream.integer(2) === 1;
  const gain = 0.85 + 0.3 * stream.uniform();
  const contrast = 0.85 + 0.3 * stream.uniform();
  const { mean, std } = DINO_PREPROCESS;
  const scale = side / size;
  for (let y = 0; y < size; y++) {
    const sourceY = Math.min(Math.max(top + (y + 0.5) * scale - 0.5, 0), SIDE - 1.001);
    const [y0, fy] = [Math.floor(sourceY), sourceY % 1];
    for (let x = 0; x < size; x++) {
      const column = mirrored ? size - 1 - x : x;
      const sourceX = Math.min(Math.max(left + (column + 0.5) * scale - 0.5, 0), SIDE - 1.001);
      const [x0, fx] = [Math.floor(sourceX), sourceX % 1];
      const at = (y0 * SIDE + x0) * 3;
      for (let c = 0; c < 3; c++) {
        const upper = frame[at + c] * (1 - fx) + frame[at + 3 + c] * fx;
        const lower = frame[at + SIDE * 3 + c] * (1 - fx) + frame[at + SIDE * 3 + 3 + c] * fx;
        const value = (upper * (1 - fy) + lower * fy) / 255;
        const relit = ((value - 0.5) * contrast + 0.5) * gain;
        out[((row * 3 + c) * size + y) * size + x] = (relit - mean[c]) / std[c];
      }
    }
  }
}
