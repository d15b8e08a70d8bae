import { afterAll, describe, expect, it } from 'vitest';
import * as g from '../../graph/index.ts';
import { Parameters } from '../../nn/parameters.ts';
import { createRuntime, WeightsMismatchError } from '../../runtime/index.ts';
import { ShapeError } from '../../tensor/errors.ts';
import { type FloatTensor, floats, type HostTensor } from '../../tensor/host-tensor.ts';
import { randomStream } from '../../tensor/random.ts';
import { sizeOf } from '../../tensor/shape.ts';
import { UnsupportedConfigError } from '../config.ts';
import { amtMiddle, createImageInterpolator, parseAmtConfig } from './index.ts';
import { doublingConvolution, resizeBilinear, warp } from './layers.ts';

const runtime = createRuntime({ inline: true, threads: 1 });
afterAll(() => runtime.close());

async function run(y: g.Value, inputs: Record<string, FloatTensor>): Promise<FloatTensor> {
  const executable = await runtime.compile(g.program('layer', { y }));
  const result = await executable.run(inputs);
  await executable.release();
  return result.y as FloatTensor;
}

describe('layers', () => {
  it('a doubling convolution spreads each input over 4 × 4 outputs, two apart', async () => {
    // One input of 1 at (1, 0) of 2 × 2: the kernel from row 2·1 − 1 and column −1 on.
    const weight = Float32Array.from({ length: 16 }, (_, i) => i + 1);
    const parameters = new Parameters(() => true);
    const y = doublingConvolution(parameters.root, g.input('x', [1, 1, 2, 2]), 1);
    const found = await run(y, {
      x: floats([1, 1, 2, 2], [0, 0, 1, 0]),
      weight: floats([1, 1, 4, 4], weight),
      bias: floats([1], [0]),
    });
    expect(found.shape).toEqual([1, 1, 4, 4]);
    // Rows 1 to 3 show kernel rows 0 to 2, columns 0 to 2 kernel columns 1 to 3.
    expect([...found.data]).toEqual([0, 0, 0, 0, 2, 3, 4, 0, 6, 7, 8, 0, 10, 11, 12, 0]);
  });

  it('resizes by whole and broken factors, places counted from corners', async () => {
    const x = g.input('x', [1, 1, 2, 4]);
    const data = floats([1, 1, 2, 4], [0, 4, 8, 12, 0, 4, 8, 12]);
    expect([...(await run(resizeBilinear(x, 0.5), { x: data })).data]).toEqual([2, 10]);
    const twice = await run(resizeBilinear(x, 2), { x: data });
    expect(twice.shape).toEqual([1, 1, 4, 8]);
    expect([...twice.data.subarray(0, 8)]).toEqual([0, 1, 3, 5, 7, 9, 11, 12]);
  });

  it('warps along the flow and repeats the border', async () => {
    const image = g.input('image', [1, 1, 2, 3]);
    const flow = g.input('flow', [1, 2, 2, 3]);
    const found = await run(warp(image, flow), {
      image: floats([1, 1, 2, 3], [0, 10, 20, 30, 40, 50]),
      flow: floats([1, 2, 2, 3], [1, 0.5, 9, 0, 0, -9, 0, 0, 0, 0, -1, 0]),
    });
    for (const [i, value] of [10, 15, 20, 30, 10, 30].entries()) expect(found.data[i]).toBeCloseTo(value, 4);
  });
});

describe('the interpolator', () => {
  const parameters = new Parameters();
  const side = [1, 3, 128, 128];
  amtMiddle({ flows: 3 }, parameters.root, { first: g.input('a', side), second: g.input('b', side) });
  const random = randomStream(1, 'amt');
  const weights = new Map<string, HostTensor>(
    [...parameters.declared].map(([name, { shape }]) => {
      const scale = 0.3 / Math.sqrt(sizeOf(shape.slice(1)));
      return [
        name,
        floats(
          shape,
          random.normals(sizeOf(shape)).map((value) => value * scale),
        ),
      ];
    }),
  );

  it('takes small images of any size', async () => {
    const interpolator = createImageInterpolator(runtime, { config: { amt: 'S' }, weights });
    const image = (value: number) => floats([1, 3, 20, 33], new Float32Array(1980).fill(value));
    const { shape, data } = await interpolator.middle(image(0.25), image(0.75));
    expect(shape).toEqual([1, 3, 20, 33]);
    expect(data.every((value) => value >= 0 && value <= 1)).toBe(true);
    const other = floats([1, 3, 20, 34], new Float32Array(2040));
    await expect(interpolator.middle(image(0), other)).rejects.toThrow(ShapeError);
    await interpolator.release();
  });

  it('wants exactly the tensors of the model, and AMT-S', () => {
    const lacking = new Map([...weights].filter(([name]) => name !== 'decoder1.convblock.2.weight'));
    const create = () =>
      createImageInterpolator(runtime, { config: { amt: 'S' }, weights: lacking, where: 'here' });
    expect(create).toThrow(WeightsMismatchError);
    expect(create).toThrow('decoder1.convblock.2.weight');
    expect(() => parseAmtConfig({ amt: 'L' })).toThrow(UnsupportedConfigError);
    expect(() => parseAmtConfig({ amt: 'S', corr_lvls: 3 })).toThrow('field corr_lvls');
    const images = { first: g.input('a', [1, 3, 64, 128]), second: g.input('b', [1, 3, 64, 128]) };
    expect(() => amtMiddle({ flows: 3 }, new Parameters().root, images)).toThrow('at least 128');
  });
});
