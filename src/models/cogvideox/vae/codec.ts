import { Parameters } from '../../../nn/parameters.ts';
import { type Runtime, requireWeights, type WeightTable } from '../../../runtime/index.ts';
import { DualrealError, ShapeError, throwIfCancelled } from '../../../tensor/errors.ts';
import { type FloatTensor, type HostTensor, reshaped } from '../../../tensor/host-tensor.ts';
import { formatShape } from '../../../tensor/shape.ts';
import { type BatchCaches, BatchRunner, type Residence } from './batch-runner.ts';
import { frameBatches, LATENT_FRAMES_PER_BATCH, PIXEL_FRAMES_PER_BATCH } from './batches.ts';
import type { VaeConfig } from './config.ts';
import { concatFrames, sliceChannels, sliceFrames } from './host-video.ts';
import { vaeParameters } from './programs.ts';
import {
  cutTile,
  decodingPlan,
  defaultTiles,
  encodingPlan,
  joinTiles,
  type Tile,
  type TilePlan,
  type TileSettings,
} from './tiles.ts';

export interface VaeCodecOptions {
  /** Cut large videos into overlapping tiles: less memory, almost the same result. Default: no. */
  readonly tiling?: boolean | Partial<TileSettings>;
  /**
   * Batches of 8 pixel or 2 latent frames, as upstream (default). Without, the whole video is one batch:
   * another result, since normalization statistics then run over all of it, and much more memory.
   */
  readonly frameBatching?: boolean;
  /**
   * 'fold' (default) keeps copies of the weights as the convolutions want them, about 2.5 times the weights in
   * f32 for each of two programs. 'mapped' makes them anew for every batch of frames: for large models.
   */
  readonly residence?: Residence;
}

export interface CodecRunOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number, total: number) => void;
}

/** The VAE's distribution of latents. */
export interface Posterior {
  readonly mean: FloatTensor;
  /** Clamped to [−30, 20]. */
  readonly logvar: FloatTensor;
}

/** What is needed, besides the frames already given out, to go on after a step of decoding. */
export interface DecodeState {
  /** Steps done. */
  readonly step: number;
  /** Convolution caches, or with tiling the finished tiles. */
  readonly tensors: ReadonlyMap<string, HostTensor>;
}

export interface DecodeStep {
  readonly steps: number;
  /** New frames [B, n, 3, H, W]; with tiling they all come with the last step. */
  readonly frames: FloatTensor | undefined;
  readonly state: DecodeState;
}

type Half = 'encoder' | 'decoder';

const BATCH_FRAMES = { encoder: PIXEL_FRAMES_PER_BATCH, decoder: LATENT_FRAMES_PER_BATCH } as const;
const LOGVAR_RANGE = [-30, 20] as const;

/**
 * CogVideoX's VAE (diffusers AutoencoderKLCogVideoX) for videos of any length: one batch of frames is in
 * memory at a time. Programs are compiled on first use; `release` frees them. scaling_factor is not applied.
 */
export class VaeCodec {
  readonly #config: VaeConfig;
  readonly #runner: BatchRunner;
  readonly #tiles: TileSettings | undefined;
  readonly #frameBatching: boolean;

  /** Throws WeightsMismatchError unless `weights` are exactly the VAE's, by the names of its checkpoint. */
  constructor(
    runtime: Runtime,
    config: VaeConfig,
    weights: WeightTable,
    { tiling = false, frameBatching = true, residence = 'fold' }: VaeCodecOptions = {},
  ) {
    const parameters = new Parameters();
    vaeParameters(config, parameters.root);
    requireWeights('VAE weights', parameters.declared, weights);
    this.#config = config;
    this.#runner = new BatchRunner(runtime, config, weights, residence);
    this.#tiles =
      tiling === false ? undefined : { ...defaultTiles(config), ...(tiling === true ? {} : tiling) };
    this.#frameBatching = frameBatching;
  }

  /** Frames [B, F, 3, H, W] or [F, 3, H, W] in [−1, 1] → posterior [B, f, C, h, w] or [f, C, h, w]. */
  async encode(frames: FloatTensor, options: CodecRunOptions = {}): Promise<Posterior> {
    const { pixelChannels, latentChannels, spatialCompression } = this.#config;
    const video = asBatch(frames, pixelChannels, spatialCompression, 'frames to encode');
    const [height, width] = video.shape.slice(-2);
    const plan = this.#tiles && encodingPlan(height, width, this.#tiles);
    let moments: FloatTensor;
    if (plan) {
      const tiles: FloatTensor[] = [];
      for (const [done, index] of byShape(plan.tiles).entries()) {
        tiles[index] = await this.#whole('encoder', cutTile(video, plan.tiles[index]), options.signal);
        options.onProgress?.(done + 1, plan.tiles.length);
      }
      moments = joinTiles(plan, tiles);
    } else {
      moments = await this.#whole('encoder', video, options.signal, options.onProgress);
    }
    const logvar = sliceChannels(moments, latentChannels, 2 * latentChannels);
    const [low, high] = LOGVAR_RANGE;
    const clamped = { ...logvar, data: logvar.data.map((value) => Math.min(Math.max(value, low), high)) };
    const mean = sliceChannels(moments, 0, latentChannels);
    return { mean: likeInput(mean, frames), logvar: likeInput(clamped, frames) };
  }

  /** Latents [B, f, C, h, w] or [f, C, h, w] → frames [B, F, 3, H, W] or [F, 3, H, W], about [−1, 1]. */
  async decode(latents: FloatTensor, { signal, onProgress }: CodecRunOptions = {}): Promise<FloatTensor> {
    const parts: FloatTensor[] = [];
    for await (const { steps, frames, state } of this.decodeSteps(latents, { signal })) {
      if (frames) parts.push(frames);
      onProgress?.(state.step, steps);
    }
    return likeInput(concatFrames(parts), latents);
  }

  /**
   * {@link decode} step by step: a batch of frames, or with tiling a tile, at a time. Decoding goes on `from`
   * the state of any step, given the same latents and options; the frames before it are not given out again.
   */
  async *decodeSteps(
    latents: FloatTensor,
    { signal, from }: { signal?: AbortSignal | undefined; from?: DecodeState | undefined } = {},
  ): AsyncGenerator<DecodeStep> {
    const { latentChannels } = this.#config;
    const video = asBatch(latents, latentChannels, 1, 'latents to decode');
    const [height, width] = video.shape.slice(-2);
    const plan = this.#tiles && decodingPlan(height, width, this.#tiles);
    const steps = plan ? plan.tiles.length : this.#batches('decoder', video).length;
    if (from && !(Number.isInteger(from.step) && from.step >= 0 && from.step <= steps)) {
      throw new DualrealError({
        where: 'state of a decoding',
        expected: `at most ${steps} steps done`,
        got: `${from.step}`,
        hint: 'the state belongs to other latents or options; decode from the start',
      });
    }
    if (plan) {
      yield* this.#decodeTiles(video, plan, from, signal);
      return;
    }
    for await (const { results, caches, done } of this.#run('decoder', video, signal, from)) {
      yield { steps, frames: results, state: { step: done, tensors: caches } };
    }
  }

  /** Frees the compiled programs. The codec can be used again and compiles them anew. */
  async release(): Promise<void> {
    await this.#runner.release();
  }

  async *#decodeTiles(
    video: FloatTensor,
    plan: TilePlan,
    from: DecodeState | undefined,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<DecodeStep> {
    const order = byShape(plan.tiles);
    const finished = new Map<string, HostTensor>(from?.tensors);
    for (let step = from?.step ?? 0; step < order.length; step++) {
      const pixels = await this.#whole('decoder', cutTile(video, plan.tiles[order[step]]), signal);
      finished.set(tileName(order[step]), pixels);
      const last = step === order.length - 1;
      const tiles = plan.tiles.map((_, i) => finished.get(tileName(i)) as FloatTensor);
      yield {
        steps: order.length,
        frames: last ? joinTiles(plan, tiles) : undefined,
        state: { step: step + 1, tensors: new Map(finished) },
      };
    }
  }

  #batches(half: Half, video: FloatTensor) {
    const frames = video.shape[1];
    return frameBatches(frames, this.#frameBatching ? BATCH_FRAMES[half] : frames);
  }

  /** One batch of frames after the other. */
  async *#run(half: Half, video: FloatTensor, signal: AbortSignal | undefined, from?: DecodeState) {
    let caches: BatchCaches | undefined = from && from.step > 0 ? from.tensors : undefined;
    const batches = this.#batches(half, video);
    for (let done = from?.step ?? 0; done < batches.length; done++) {
      throwIfCancelled(signal, half === 'encoder' ? 'encoding' : 'decoding');
      const { start, stop } = batches[done];
      const batch = await this.#runner.run(half, sliceFrames(video, start, stop), caches, signal);
      caches = batch.caches;
      yield { ...batch, done: done + 1 };
    }
  }

  async #whole(
    half: Half,
    video: FloatTensor,
    signal: AbortSignal | undefined,
    onProgress?: (done: number, total: number) => void,
  ): Promise<FloatTensor> {
    const parts: FloatTensor[] = [];
    const total = this.#batches(half, video).length;
    for await (const { results, done } of this.#run(half, video, signal)) {
      parts.push(results);
      onProgress?.(done, total);
    }
    return concatFrames(parts);
  }
}

function tileName(index: number): string {
  return `tile.${index}`;
}

/** Tile numbers, those of one shape together: each shape needs programs of its own. */
function byShape(tiles: readonly Tile[]): number[] {
  const shapes = tiles.map(({ height, width }) => `${height},${width}`);
  const first = shapes.map((shape) => shapes.indexOf(shape));
  return tiles.map((_, i) => i).sort((a, b) => first[a] - first[b] || a - b);
}

/** The video with a batch axis, checked. */
function asBatch(video: FloatTensor, channels: number, smallest: number, where: string): FloatTensor {
  const { shape } = video;
  const [frames, found, height, width] = shape.slice(-4);
  const fits = shape.length === 5 || shape.length === 4;
  if (!fits || frames < 1 || found !== channels || height < smallest || width < smallest) {
    throw new ShapeError({
      where,
      expected: `[B, F, ${channels}, H, W] or [F, ${channels}, H, W], at least ${smallest} pixels on a side`,
      got: formatShape(shape),
    });
  }
  return shape.length === 5 ? video : reshaped(video, [1, ...shape]);
}

/** Without the batch axis where the input had none. */
function likeInput(video: FloatTensor, input: FloatTensor): FloatTensor {
  return input.shape.length === 5 ? video : reshaped(video, video.shape.slice(1));
}
