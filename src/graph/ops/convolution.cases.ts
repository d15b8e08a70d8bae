import { stridesOf } from '../../tensor/shape.ts';
import { gradients } from '../gradient.ts';
import type { OpCases, SampledLeaf, Sampler } from '../op-sampler.cases.ts';
import type { NdArray } from '../reference.cases.ts';
import type { Value } from '../value.ts';
import type { FrameTaps } from './convolution.ts';
import * as g from './index.ts';

interface Instance {
  readonly frames: readonly SampledLeaf[];
  readonly weight: SampledLeaf;
  readonly bias: SampledLeaf | undefined;
  readonly taps: FrameTaps;
  readonly stride: number;
  readonly padding: readonly [number, number, number, number];
  readonly results: readonly Value[];
}

/** Channel counts: odd ones, a few (below a block), whole blocks of 8 and 16, and not whole ones. */
const CHANNELS = [
  [3, 5],
  [16, 16],
  [3, 16],
  [24, 3],
  [8, 32],
  [32, 20],
  [20, 16],
  [1, 1],
] as const;

/** Taps of causal three-tap kernels: the first frame repeated, every frame doubled, ends left out. */
function someTaps(sampler: Sampler, count: number): FrameTaps {
  const outputs = Array.from({ length: count }, (_, f) => f);
  const clamp = (i: number) => Math.max(0, Math.min(count - 1, i));
  return sampler.random.pick([
    outputs.map((f) => [clamp(f - 2), clamp(f - 1), f]),
    outputs.flatMap((f) => [
      [clamp(f - 1), clamp(f - 1), f],
      [clamp(f - 1), f, f],
    ]),
    outputs.map((f) => [f - 1, f, f + 1 < count ? f + 1 : -1]),
  ]);
}

function instance(sampler: Sampler, fixed = false): Instance {
  const [from, to] = CHANNELS[sampler.index % CHANNELS.length];
  const batch = sampler.extent(3);
  const kernel = [sampler.extent(3), sampler.extent(3)];
  const stride = sampler.index % 3 === 2 ? 2 : 1;
  const below = (size: number) => sampler.random.integer(size);
  const padding = [below(kernel[0]), below(kernel[1]), below(kernel[0]), below(kernel[1])] as const;
  const extent = kernel.map((size) => size + below(5));
  const three = sampler.index % 4 !== 3;
  const count = three ? 1 + below(5) : 1;
  const taps = three ? someTaps(sampler, count) : [[0]];
  const frames = Array.from({ length: count }, () => sampler.floats([batch, from, ...extent], { fixed }));
  const range = { low: -0.5, high: 0.5, fixed };
  const weight = sampler.floats([to, from, ...(three ? [3] : []), ...kernel], range);
  const bias = sampler.random.integer(2) ? sampler.floats([to], range) : undefined;
  const images = frames.map(({ value }) => value);
  const results = g.convolveFrames(images, weight.value, taps, { bias: bias?.value, stride, padding });
  return { frames, weight, bias, taps, stride, padding, results };
}

/** Visits every product of the sum: `visit(result, at, frame, atFrame, atWeight)` with flat positions. */
function visitProducts(
  { frames, weight, taps, stride, padding, results }: Instance,
  visit: (result: number, at: number, frame: number, atFrame: number, atWeight: number) => void,
): void {
  const [batch, , height, width] = frames[0].shape;
  const [, , rows, columns] = results[0].shape;
  const [to, from] = weight.shape;
  const [kh, kw] = weight.shape.slice(-2);
  const count = weight.shape.length === 5 ? weight.shape[2] : 1;
  const strides = { frame: stridesOf(frames[0].shape), result: stridesOf(results[0].shape) };
  const place = (stride: readonly number[], index: readonly number[]) =>
    index.reduce((sum, i, axis) => sum + i * stride[axis], 0);
  for (const [f, row] of taps.entries())
    for (const [k, frame] of row.entries())
      for (let b = 0; frame >= 0 && b < batch; b++)
        for (let o = 0; o < to; o++)
          for (let c = 0; c < from; c++)
            for (let i = 0; i < rows * columns; i++) {
              const [y, x] = [Math.floor(i / columns), i % columns];
              for (let j = 0; j < kh * kw; j++) {
                const [dy, dx] = [Math.floor(j / kw), j % kw];
                const h = y * stride + dy - padding[0];
                const w = x * stride + dx - padding[1];
                if (h < 0 || h >= height || w < 0 || w >= width) continue;
                const atWeight = ((o * from + c) * count + k) * kh * kw + j;
                visit(
                  f,
                  place(strides.result, [b, o, y, x]),
                  frame,
                  place(strides.frame, [b, c, h, w]),
                  atWeight,
                );
              }
            }
}

function zerosLike({ shape }: { readonly shape: readonly number[] }): NdArray & { data: Float64Array } {
  return { shape, data: new Float64Array(shape.reduce((product, extent) => product * extent, 1)) };
}

/** Σ results·random, and those random arrays. */
function weighted(sampler: Sampler, results: readonly Value[]) {
  const dys = results.map((result) => sampler.floats(result.shape, { low: -1, high: 1, fixed: true }));
  const loss = results.map((result, f) => g.sum(g.mul(result, dys[f].value))).reduce((a, b) => g.add(a, b));
  return { dys, loss };
}

/** Sums of up to 32·27 products, each result rounded once per product. */
const TOLERANCE = 2e-5;

export const cases: OpCases = {
  convolveFrames: (sampler) => {
    const drawn = instance(sampler);
    const { frames, weight, bias, results } = drawn;
    const expected = results.map(zerosLike);
    const area = results[0].shape[2] * results[0].shape[3];
    for (const { data } of expected) {
      for (let i = 0; i < data.length; i++) {
        data[i] = bias ? bias.data[Math.floor(i / area) % results[0].shape[1]] : 0;
      }
    }
    visitProducts(drawn, (f, at, frame, atFrame, atWeight) => {
      expected[f].data[at] += frames[frame].data[atFrame] * weight.data[atWeight];
    });
    return { outputs: results.map((value, f) => ({ value, expected: expected[f] })), tolerance: TOLERANCE };
  },
  convolveFramesAdjoint: (sampler) => {
    const drawn = instance(sampler, true);
    const { frames, weight, results } = drawn;
    const { dys, loss } = weighted(sampler, results);
    const expected = frames.map(zerosLike);
    visitProducts(drawn, (f, at, frame, atFrame, atWeight) => {
      expected[frame].data[atFrame] += dys[f].data[at] * weight.data[atWeight];
    });
    const images = frames.map(({ value }) => value);
    const found = gradients(loss, images).map((value) => value!);
    return { outputs: found.map((value, i) => ({ value, expected: expected[i] })), tolerance: TOLERANCE };
  },
  convolveFramesWeight: (sampler) => {
    const drawn = instance(sampler, true);
    const { frames, weight, results } = drawn;
    const { dys, loss } = weighted(sampler, results);
    const expected = zerosLike(weight);
    visitProducts(drawn, (f, at, frame, atFrame, atWeight) => {
      expected.data[atWeight] += dys[f].data[at] * frames[frame].data[atFrame];
    });
    const value = gradients(loss, [weight.value])[0]!;
    return { outputs: [{ value, expected }], tolerance: TOLERANCE };
  },
};
