import type { VaeConfig } from '../../models/cogvideox/vae/index.ts';
import { fromFloat32, toFloat32 } from '../../tensor/dtype.ts';
import { DualrealError } from '../../tensor/errors.ts';
import { floats } from '../../tensor/host-tensor.ts';
import { createUniverse, type RenderedClip } from '../universe/universe.ts';
import { SIDE } from './configs.ts';
import { subjectSurroundings } from './moving-pixels.ts';
import { type Cells, type Principal, principal, project, squares } from './principal-code.ts';
import type { TensorTable } from './task.ts';

const AREA = SIDE * SIDE;
const CLIPS = 200;
const FRAMES = 9;
/** Of the subject's surroundings against everything else. */
const SUBJECT_WEIGHT = 2;
/** Of the change of a pixel against its mean; 0.5 favours whole pictures, 1 what moves. */
const CHANGE_WEIGHT = 0.7;
/** Of the channels that hold constants, in standard deviations of a code. */
const CONSTANT = 30;
/** Log-variance of the posterior: codes are read with a noise of 0.03 of their deviation. */
const LOG_VARIANCE = -7;

type Sample = Pick<RenderedClip, 'frames' | 'mask'>;

/** A linear code of clips, as a cascade that halves the side at every level. */
export interface PrincipalCascade {
  /** Mean colour, [3]. */
  readonly colour: readonly number[];
  /** One for every level that is made smaller, then the code itself. */
  readonly levels: readonly Principal[];
  /** What the code's coordinates are multiplied by. */
  readonly gains: readonly number[];
}

const known = new Map<string, PrincipalCascade>();

/**
 * The best linear code of rendered clips that the encoder's form allows (see {@link principalEncoder}): a few
 * seconds of computing, once in a process.
 */
export function principalCascade(cacheFolder: string, config: VaeConfig): PrincipalCascade {
  const key = JSON.stringify([cacheFolder, config.channels, config.latentChannels]);
  const found = known.get(key) ?? computeCascade(cacheFolder, config);
  known.set(key, found);
  return found;
}

function computeCascade(cacheFolder: string, config: VaeConfig): PrincipalCascade {
  const universe = createUniverse({
    seed: 5,
    split: 'pretraining',
    stage: 2,
    frames: FRAMES,
    cacheFolder,
  });
  const samples = Array.from({ length: CLIPS }, (_, i) => universe.render(i));
  const colour = meanColour(samples);
  let cells = pixelCells(samples, colour);
  const levels: Principal[] = [];
  for (const width of config.channels.slice(0, -1)) {
    const square = squares(cells);
    const found = principal(square, Math.min(width, square.features));
    levels.push(found);
    cells = project(square, found.rows);
  }
  const code = principal(cells, config.latentChannels);
  // Half way to equal variances: details weigh more than in pixels, and less than the light and colour of a place.
  const gains = code.variances.map((variance) => Math.max(variance, 1e-8) ** -0.25);
  const power = code.variances.reduce((sum, variance, i) => sum + variance * gains[i] ** 2, 0);
  const toUnit = Math.sqrt(gains.length / power);
  return { colour, levels: [...levels, code], gains: gains.map((gain) => gain * toUnit) };
}

function meanColour(samples: readonly Sample[]): number[] {
  const sums = [0, 0, 0];
  let count = 0;
  for (const { frames } of samples) {
    for (let i = 0; i < frames.length; i += 3) for (let c = 0; c < 3; c++) sums[c] += frames[i + c];
    count += frames.length / 3;
  }
  return sums.map((sum) => sum / count / 127.5 - 1);
}

/**
 * What the encoder can see of a clip where it halves the frame rate, in every pixel of every latent frame: the
 * mean of the two frames, and how far the second is from the one before both, halved and weighted (6 features).
 * The difference of the two alone is out of its reach: it takes means of what looks at all frames alike.
 */
export function pixelCells(samples: readonly Sample[], colour: readonly number[]): Cells {
  const latentFrames = 1 + (FRAMES - 1) / 2;
  const data = new Float32Array(samples.length * latentFrames * AREA * 6);
  const weight = new Float32Array(samples.length * latentFrames * AREA);
  let cell = 0;
  for (const { frames, mask } of samples) {
    const moving = subjectSurroundings(mask);
    for (let f = 0; f < latentFrames; f++) {
      const [second, first, before] = f === 0 ? [0, 0, 0] : [2 * f, 2 * f - 1, 2 * f - 2];
      for (let i = 0; i < AREA; i++, cell++) {
        for (let c = 0; c < 3; c++) {
          const value = (frame: number) => frames[(frame * AREA + i) * 3 + c] / 127.5 - 1 - colour[c];
          data[cell * 6 + c] = (value(first) + value(second)) / 2;
          data[cell * 6 + 3 + c] = (CHANGE_WEIGHT * (value(second) - value(before))) / 2;
        }
        const isMoving = moving[second * AREA + i] + moving[first * AREA + i] > 0;
        weight[cell] = isMoving ? SUBJECT_WEIGHT : 1;
      }
    }
  }
  return { side: SIDE, features: 6, data, weight };
}

/**
 * Weights with which CogVideoX's encoder computes a linear code exactly, up to rounding to f16. Residual
 * branches are silent, so that only their skips are left; downsampling convolutions and 1 × 1 skips carry the
 * cascade. The last norm is made harmless by channels that hold large constants of both signs: they alone set
 * its deviation, and its mean is 0 because every coordinate h stands beside −h; their last activations give
 * silu(h) − silu(−h) = h.
 * @param drawn every parameter of the VAE with first values; the encoder's that matter are replaced.
 */
export function principalEncoder(config: VaeConfig, drawn: TensorTable, cascade: PrincipalCascade) {
  const { channels, latentChannels, normGroups, temporalCompression } = config;
  const width = channels[channels.length - 1];
  const perGroup = width / normGroups;
  const codesPerGroup = Math.ceil(latentChannels / normGroups);
  const constants = perGroup - 2 * codesPerGroup;
  if (temporalCompression !== 2 || constants < 2 || constants % 2 > 0 || width === channels.at(-2)) {
    throw new DualrealError({
      where: 'principal encoder',
      expected: 'two-fold compression in time, and a last level wider than the one before and than its codes',
      got: `${temporalCompression}-fold, ${channels.join(', ')} channels, ${latentChannels} codes`,
    });
  }
  const table = new Map([...drawn].filter(([name]) => name.startsWith('encoder.')));
  const zeroed = (name: string) => {
    const { shape, data } = table.get(`encoder.${name}`)!;
    const values = new Float32Array(data.length);
    table.set(`encoder.${name}`, floats(shape, values));
    /** Row-major place of an index that stops early: the rest is 0. */
    const place = (...index: number[]) =>
      shape.reduce((at, extent, axis) => at * extent + (index[axis] ?? 0), 0);
    return { values, place };
  };
  for (const name of [...table.keys()]) {
    if (/\.conv2\.conv\.weight$/.test(name)) zeroed(name.slice('encoder.'.length));
  }

  const first = zeroed('conv_in.conv.weight');
  const firstBias = zeroed('conv_in.conv.bias');
  for (let c = 0; c < 3; c++) {
    first.values[first.place(c, c, 2, 1, 1)] = 1;
    firstBias.values[c] = -cascade.colour[c];
    first.values[first.place(3 + c, c, 2, 1, 1)] = CHANGE_WEIGHT;
    first.values[first.place(3 + c, c, 1, 1, 1)] = -CHANGE_WEIGHT;
  }
  let features = 6;
  for (const [level, { rows }] of cascade.levels.slice(0, -1).entries()) {
    if (level > 0) skipAsIs(level, features);
    const down = zeroed(`down_blocks.${level}.downsamplers.0.conv.weight`);
    for (const [out, row] of rows.entries()) {
      for (const [i, value] of row.entries()) {
        const part = Math.floor(i / features);
        down.values[down.place(out, i % features, part >> 1, part & 1)] = value;
      }
    }
    zeroed(`down_blocks.${level}.downsamplers.0.conv.bias`);
    features = rows.length;
  }

  const last = channels.length - 1;
  const skip = zeroed(`down_blocks.${last}.resnets.0.conv_shortcut.weight`);
  const skipBias = zeroed(`down_blocks.${last}.resnets.0.conv_shortcut.bias`);
  const gain = zeroed('norm_out.weight');
  zeroed('norm_out.bias');
  const out = zeroed('conv_out.conv.weight');
  const outBias = zeroed('conv_out.conv.bias');
  outBias.values.fill(LOG_VARIANCE, latentChannels);
  const deviation = Math.sqrt((2 * codesPerGroup + constants * CONSTANT ** 2) / perGroup);
  gain.values.fill(deviation);
  for (let group = 0; group < normGroups; group++) {
    for (let i = 0; i < codesPerGroup; i++) {
      const code = group * codesPerGroup + i;
      if (code >= latentChannels) continue;
      for (const [side, sign] of [1, -1].entries()) {
        const channel = group * perGroup + 2 * i + side;
        const row = cascade.levels[last].rows[code];
        for (const [f, value] of row.entries()) {
          skip.values[skip.place(channel, f)] = sign * value * cascade.gains[code];
        }
        out.values[out.place(code, channel, 2, 1, 1)] = sign;
      }
    }
    for (let i = 0; i < constants; i++) {
      skipBias.values[group * perGroup + 2 * codesPerGroup + i] = i % 2 === 0 ? CONSTANT : -CONSTANT;
    }
  }
  return new Map([...table].map(([name, { shape, data }]) => [name, floats(shape, roundedToHalf(data))]));

  /** The 1 × 1 skip into a wider level hands its features on. */
  function skipAsIs(level: number, count: number): void {
    if (channels[level] === channels[level - 1]) return;
    const { values, place } = zeroed(`down_blocks.${level}.resnets.0.conv_shortcut.weight`);
    zeroed(`down_blocks.${level}.resnets.0.conv_shortcut.bias`);
    for (let f = 0; f < count; f++) values[place(f, f)] = 1;
  }
}

/** As exported: a decoder that learns from these codes meets the same ones later. */
function roundedToHalf(values: ArrayLike<number | bigint>): Float32Array {
  return toFloat32('f16', fromFloat32('f16', values as Float32Array) as Uint16Array);
}
