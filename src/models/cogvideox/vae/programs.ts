import type { Program, Value } from '../../../graph/index.ts';
import * as g from '../../../graph/index.ts';
import { type ParameterScope, Parameters } from '../../../nn/parameters.ts';
import { Continuation, type FrameCaches } from './causal.ts';
import type { VaeConfig } from './config.ts';
import { vaeDecoder } from './decoder.ts';
import { vaeEncoder } from './encoder.ts';

/** One batch of frames to run through half of the VAE. */
export interface BatchShape {
  readonly half: 'encoder' | 'decoder';
  /** Batch, frames, and the size of the images that go in. */
  readonly batch: number;
  readonly frames: number;
  readonly height: number;
  readonly width: number;
  /** Names and shapes of the caches that the batch before left; empty for the first batch. */
  readonly caches: CacheShapes;
}

/** Shape [B, C, H, W] of each cached frame, by its name. */
export type CacheShapes = ReadonlyMap<string, readonly number[]>;

export interface BatchProgram {
  readonly program: Program;
  /** Names of the results, in the order of the frames. */
  readonly results: readonly string[];
  /** What the batch leaves for the next. */
  readonly caches: CacheShapes;
}

const AGES = ['before', 'last'] as const;

/** The name of a frame that goes into, or comes out of, a batch program. */
export function frameName(index: number): string {
  return `frame.${index}`;
}

/**
 * The program of one frame batch: inputs `frame.<i>` and the caches by name, outputs `result.<i>` and, under
 * `next:<name>`, the caches for the batch after. Residual blocks that are silent are left out.
 */
export function batchProgram(
  config: VaeConfig,
  shape: BatchShape,
  isSilent?: (path: string) => boolean,
): BatchProgram {
  const { half, batch, height, width } = shape;
  const channels = half === 'encoder' ? config.pixelChannels : config.latentChannels;
  const frames = Array.from({ length: shape.frames }, (_, i) =>
    g.input(frameName(i), [batch, channels, height, width]),
  );
  const continuation = new Continuation(cacheInputs(shape.caches));
  const scope = new Parameters().root.at(half);
  const trace = half === 'encoder' ? vaeEncoder : vaeDecoder;
  const results = trace(config, scope, frames, { continuation, isSilent });
  const outputs: Record<string, Value> = {};
  for (const [i, result] of results.entries()) outputs[`result.${i}`] = result;
  const caches = new Map<string, readonly number[]>();
  for (const [path, pair] of continuation.after) {
    for (const [i, age] of AGES.entries()) {
      caches.set(`${path}.${age}`, pair[i].shape);
      outputs[nextCacheName(`${path}.${age}`)] = pair[i];
    }
  }
  const first = shape.caches.size === 0 ? 'first' : 'next';
  const name = `vae ${half}, ${first} ${shape.frames} frames of ${height} × ${width}`;
  return { program: g.program(name, outputs), results: results.map((_, i) => `result.${i}`), caches };
}

/** The output that holds the next batch's cache. */
export function nextCacheName(cache: string): string {
  return `next:${cache}`;
}

function cacheInputs(shapes: CacheShapes): FrameCaches {
  const caches = new Map<string, readonly [Value, Value]>();
  for (const name of shapes.keys()) {
    const path = name.slice(0, name.lastIndexOf('.'));
    if (caches.has(path)) continue;
    const [before, last] = AGES.map((age) => g.input(`${path}.${age}`, shapes.get(`${path}.${age}`)!));
    caches.set(path, [before, last]);
  }
  return caches;
}

/** Declares every parameter of the VAE under `scope`, by the names of its checkpoint. */
export function vaeParameters(config: VaeConfig, scope: ParameterScope): void {
  const { spatialCompression, pixelChannels, latentChannels } = config;
  const pixels = g.input('pixels', [1, pixelChannels, spatialCompression, spatialCompression]);
  vaeEncoder(config, scope.at('encoder'), [pixels]);
  vaeDecoder(config, scope.at('decoder'), [g.input('latents', [1, latentChannels, 1, 1])]);
}
