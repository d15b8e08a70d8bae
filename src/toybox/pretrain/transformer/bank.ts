import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Runtime } from '../../../runtime/index.ts';
import { readSealedFile, writeSealedFile } from '../../../store/sealed-file.ts';
import { fromFloat32, toFloat32 } from '../../../tensor/dtype.ts';
import { throwIfCancelled } from '../../../tensor/errors.ts';
import { type HostTensor, hostTensor } from '../../../tensor/host-tensor.ts';
import { sizeOf } from '../../../tensor/shape.ts';
import type { Stage } from '../../universe/motions.ts';
import { createUniverse } from '../../universe/universe.ts';
import { SIDE } from '../configs.ts';
import { TEXT_TOKENS, t5TokenizerFiles } from '../tokenizers.ts';
import type { BankSource, RenderedSamples } from './bank-samples.ts';
import { renderInThreads } from './bank-threads.ts';
import type { BaseParts } from './base-parts.ts';
import { openLatentEncoder } from './latent-encoder.ts';

/** Samples of one file. */
const SHARD = 1024;
/** Samples rendered and encoded at a time. */
const BATCH = 8;

/** Encoded samples in memory: 6 KB a clip, 2 KB an image with 16 channels. */
export interface LatentBank {
  readonly count: number;
  /** [f, C, h, w] of a sample. */
  readonly shape: readonly number[];
  /** Scaled latents of a sample, written to `out` from `at` on. */
  latents(index: number, out: Float32Array, at: number): void;
  /** [S] */
  tokens(index: number): Int16Array;
  /** The subject's alpha in the latents' cells, [f, h, w]. */
  mask(index: number): Uint8Array;
}

export interface BankRequest {
  readonly folder: string;
  readonly cacheFolder: string;
  readonly seed: number;
  readonly stage: Stage;
  readonly frames: number;
  readonly count: number;
  /** Rendering threads. */
  readonly threads: number;
  readonly signal?: AbortSignal | undefined;
}

export interface BankProgress {
  readonly done: number;
  readonly total: number;
}

/**
 * Renders and encodes what is not there yet, file by file, then reads everything. Files lie in a folder named
 * by a hash of all that they depend on; what was finished before an interruption is kept.
 */
export async function* openLatentBank(
  openRuntime: () => Runtime,
  parts: BaseParts,
  request: BankRequest,
): AsyncGenerator<BankProgress, LatentBank> {
  const { folder, frames, count, signal } = request;
  const source: BankSource = {
    seed: request.seed,
    stage: request.stage,
    frames,
    cacheFolder: request.cacheFolder,
    spatialCompression: parts.vae.spatialCompression,
    temporalCompression: parts.vae.temporalCompression,
  };
  const place = join(folder, `${frames}-frames-${await bankKey(parts, source)}`);
  await mkdir(place, { recursive: true });
  const shards = Array.from({ length: Math.ceil(count / SHARD) }, (_, i) => ({
    path: join(
      place,
      `${String(i * SHARD).padStart(8, '0')}-${Math.min(SHARD, count - i * SHARD)}.safetensors`,
    ),
    first: i * SHARD,
    count: Math.min(SHARD, count - i * SHARD),
  }));
  const missing = shards.filter(({ path }) => !existsSync(path));
  if (missing.length > 0) {
    const runtime = openRuntime();
    let rendered: AsyncGenerator<RenderedSamples> | undefined;
    try {
      const encoder = await openLatentEncoder(runtime, parts.vae, parts.vaeWeights, { batch: BATCH, frames });
      const ranges = missing.flatMap((shard) => rangesOf(shard.first, shard.count));
      rendered = renderInThreads(source, ranges, request.threads);
      let done = count - missing.reduce((sum, shard) => sum + shard.count, 0);
      for (const shard of missing) {
        const encoded: EncodedSamples[] = [];
        for (const range of rangesOf(shard.first, shard.count)) {
          throwIfCancelled(signal, 'encoding latents');
          const { value } = (await rendered.next()) as { value: RenderedSamples };
          encoded.push({ ...value, latents: await encoder.run(value.pixels) });
          done += range.count;
          yield { done, total: count };
        }
        await writeSealedFile(shard.path, shardTensors(encoded, shard.count, source, parts), {});
      }
      await encoder.release();
    } finally {
      await rendered?.return(undefined);
      await runtime.close();
    }
  }
  const files: ReadonlyMap<string, HostTensor>[] = [];
  for (const { path } of shards) files.push((await readSealedFile(path)).tensors);
  return bankOf(files, count, parts.vae.scalingFactor);
}

interface EncodedSamples extends RenderedSamples {
  readonly latents: Float32Array;
}

function rangesOf(first: number, count: number): { first: number; count: number }[] {
  return Array.from({ length: Math.ceil(count / BATCH) }, (_, i) => ({
    first: first + i * BATCH,
    count: Math.min(BATCH, count - i * BATCH),
  }));
}

/** Everything that the files' contents depend on. The scaling factor does not belong to it: it is applied later. */
async function bankKey(parts: BaseParts, source: BankSource): Promise<string> {
  const { seed, stage, frames, cacheFolder } = source;
  const { artHash } = createUniverse({ seed, stage, frames, split: 'pretraining', cacheFolder });
  const { json } = t5TokenizerFiles();
  const facts = JSON.stringify([seed, stage, frames, artHash, parts.vaeHash, json]);
  return createHash('sha256').update(facts).digest('hex').slice(0, 16);
}

function shardTensors(
  encoded: readonly EncodedSamples[],
  count: number,
  { frames, spatialCompression, temporalCompression }: BankSource,
  { vae }: BaseParts,
): Map<string, HostTensor> {
  const side = SIDE / spatialCompression;
  const cells = [count, 1 + (frames - 1) / temporalCompression, side, side];
  const shape = [cells[0], cells[1], vae.latentChannels, side, side];
  const latents = new Float32Array(sizeOf(shape));
  const tokens = new Int16Array(count * TEXT_TOKENS);
  const mask = new Uint8Array(sizeOf(cells));
  let at = 0;
  for (const part of encoded) {
    latents.set(part.latents, (at * latents.length) / count);
    tokens.set(part.tokens, at * TEXT_TOKENS);
    mask.set(part.mask, (at * mask.length) / count);
    at += part.tokens.length / TEXT_TOKENS;
  }
  return new Map<string, HostTensor>([
    ['latents', hostTensor('f16', shape, fromFloat32('f16', latents) as Uint16Array)],
    ['tokens', hostTensor('i16', [count, TEXT_TOKENS], tokens)],
    ['mask', hostTensor('u8', cells, mask)],
  ]);
}

function bankOf(files: readonly ReadonlyMap<string, HostTensor>[], count: number, scale: number): LatentBank {
  const shape = files[0].get('latents')!.shape.slice(1);
  const size = sizeOf(shape);
  const cells = size / shape[1];
  const part = (index: number, name: string, length: number) => {
    const { data } = files[Math.floor(index / SHARD)].get(name)!;
    const start = (index % SHARD) * length;
    return data.subarray(start, start + length);
  };
  return {
    count,
    shape,
    latents: (index, out, at) => {
      const values = toFloat32('f16', part(index, 'latents', size));
      for (let i = 0; i < size; i++) out[at + i] = values[i] * scale;
    },
    tokens: (index) => part(index, 'tokens', TEXT_TOKENS) as Int16Array,
    mask: (index) => part(index, 'mask', cells) as Uint8Array,
  };
}
