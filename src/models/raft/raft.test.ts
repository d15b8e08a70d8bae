import { afterAll, describe, expect, it } from 'vitest';
import * as g from '../../graph/index.ts';
import { Parameters } from '../../nn/parameters.ts';
import { createRuntime, WeightsMismatchError, type WeightTable } from '../../runtime/index.ts';
import { ShapeError } from '../../tensor/errors.ts';
import { type FloatTensor, floats } from '../../tensor/host-tensor.ts';
import { randomStream } from '../../tensor/random.ts';
import { sizeOf } from '../../tensor/shape.ts';
import { UnsupportedConfigError } from '../config.ts';
import { withEdges } from '../edges.ts';
import { correlationPyramid, lookUp } from './correlation.ts';
import { createFlowEstimator } from './flow-estimator.ts';
import { parseRaftConfig, plainRaftWeights, raftFlow } from './index.ts';
import { bilinearUpsample, convexUpsample } from './upsample.ts';

const runtime = createRuntime({ inline: true, threads: 2 });
afterAll(() => runtime.close());

const random = (shape: readonly number[], name: string) =>
  floats(shape, randomStream(2, 'raft', name).normals(sizeOf(shape)));

async function evaluate(out: g.Value, inputs: Record<string, FloatTensor>): Promise<FloatTensor> {
  const executable = await runtime.compile(g.program('raft', { out }));
  const { out: result } = await executable.run(inputs);
  await executable.release();
  return result as FloatTensor;
}

describe('parseRaftConfig', () => {
  it('takes what the official files need and names what is unsupported', () => {
    expect(parseRaftConfig({ small: false })).toEqual({ small: false, iterations: 20 });
    for (const field of ['alternate_corr', 'mixed_precision', 'small', 'levels', 'iters']) {
      const parse = () => parseRaftConfig({ small: true, [field]: field === 'small' ? 1 : true }, 'here');
      expect(parse).toThrow(UnsupportedConfigError);
      expect(parse).toThrow(`here, field ${field}`);
    }
  });
});

describe('correlation', () => {
  it('averages pairs of the second image and drops an odd last one', async () => {
    const [first, second] = [random([1, 4, 8, 9], 'a'), random([1, 4, 8, 9], 'b')];
    const levels = correlationPyramid(g.input('a', first.shape), g.input('b', second.shape));
    expect(levels.map((level) => level.shape.slice(2))).toEqual([
      [8, 9],
      [4, 4],
      [2, 2],
      [1, 1],
    ]);
    const out = await evaluate(levels[1], { a: first, b: second });
    const product = (p: number, row: number, column: number) => {
      let sum = 0;
      for (let c = 0; c < 4; c++) sum += first.data[c * 72 + p] * second.data[c * 72 + row * 9 + column];
      return sum / 2;
    };
    const [p, row, column] = [31, 2, 3];
    const squares = [0, 1].flatMap((y) => [0, 1].map((x) => product(p, 2 * row + y, 2 * column + x)));
    expect(out.data[p * 16 + row * 4 + column]).toBeCloseTo(squares.reduce((a, b) => a + b) / 4, 5);
  });

  it('samples a transposed window around each place', async () => {
    const [height, width] = [3, 5];
    const level = random([height * width, 1, height, width], 'level');
    const places = floats([1, 2, height, width], new Float32Array(2 * height * width));
    const [x, y, pixel] = [1.25, 1, 7];
    places.data[pixel] = x;
    places.data[height * width + pixel] = y;
    const found = await evaluate(
      lookUp([g.input('level', level.shape)], g.input('places', places.shape), 1),
      { level, places },
    );
    const value = (column: number, row: number) => level.data[pixel * 15 + row * 5 + column] ?? 0;
    for (const [index, [dx, dy]] of [
      [1, [-1, 0]],
      [3, [0, -1]],
      [5, [0, 1]],
      [7, [1, 0]],
    ] as const) {
      const left = Math.floor(x) + dx;
      const expected = 0.75 * value(left, y + dy) + 0.25 * value(left + 1, y + dy);
      expect(found.data[index * 15 + pixel], `tap ${index}`).toBeCloseTo(expected, 5);
    }
  });
});

describe('upsampling', () => {
  it('keeps the corners of the flow and scales it by 8', async () => {
    const flow = random([1, 2, 3, 4], 'flow');
    const out = await evaluate(bilinearUpsample(g.input('flow', flow.shape)), { flow });
    expect(out.shape).toEqual([1, 2, 24, 32]);
    expect(out.data[0]).toBeCloseTo(8 * flow.data[0], 5);
    expect(out.data[out.data.length - 1]).toBeCloseTo(8 * flow.data[flow.data.length - 1], 5);
  });

  it('copies a neighbour where the mask is sure of it', async () => {
    const flow = random([1, 2, 2, 3], 'flow');
    const mask = floats([1, 9 * 64, 2, 3], new Float32Array(9 * 64 * 6));
    // Each subpixel of every pixel takes the neighbour to the right (the sixth of nine).
    mask.data.fill(40, 5 * 64 * 6, 6 * 64 * 6);
    const out = await evaluate(convexUpsample(g.input('flow', flow.shape), g.input('mask', mask.shape)), {
      flow,
      mask,
    });
    expect(out.shape).toEqual([1, 2, 16, 24]);
    expect(out.data[0]).toBeCloseTo(8 * flow.data[1], 4);
    expect(out.data[16 * 24 + 9 * 24 + 8]).toBeCloseTo(8 * flow.data[6 + 5], 4);
    expect(out.data[23]).toBeCloseTo(0, 4);
  });
});

describe('flow estimator', () => {
  const config = { small: true, iters: 1 };
  const weights: WeightTable = (() => {
    const parameters = new Parameters();
    const images = { first: g.input('first', [1, 3, 128, 128]), second: g.input('second', [1, 3, 128, 128]) };
    raftFlow(parseRaftConfig(config), parameters.root, images);
    return new Map(
      [...parameters.declared].map(([name, { shape }]) => {
        const { data } = random(shape, name);
        return [
          `module.${name}`,
          floats(
            shape,
            data.map((x) => x / Math.sqrt(sizeOf(shape.slice(1)) || 1)),
          ),
        ];
      }),
    );
  })();

  it('pads to multiples of 8 and cuts the result', async () => {
    const estimator = createFlowEstimator(runtime, { config, weights });
    const pixels = (name: string) =>
      floats(
        [1, 3, 131, 134],
        random([1, 3, 131, 134], name).data.map((x) => 128 + 40 * x),
      );
    const [first, second] = [pixels('first'), pixels('second')];
    const flow = await estimator.estimate(first, second);
    expect(flow.shape).toEqual([1, 2, 131, 134]);
    const margins = { rows: { before: 2, after: 3 }, columns: { before: 1, after: 1 } };
    const padded = await estimator.estimate(withEdges(first, margins), withEdges(second, margins));
    expect(padded.shape).toEqual([1, 2, 136, 136]);
    expect(flow.data[134 * 10 + 20]).toBe(padded.data[136 * 12 + 21]);
    await estimator.release();
  });

  it('refuses small or unequal images and other weights', async () => {
    const estimator = createFlowEstimator(runtime, { config, weights });
    const image = (height: number) => floats([1, 3, height, 128], new Float32Array(3 * height * 128));
    await expect(estimator.estimate(image(120), image(120))).rejects.toThrow(ShapeError);
    await expect(estimator.estimate(image(128), image(136))).rejects.toThrow('of one size');
    expect(() => createFlowEstimator(runtime, { config: { small: false }, weights })).toThrow(
      WeightsMismatchError,
    );
  });

  it('knows names of training wrappers and doubled norms', () => {
    const tensor = floats([1], [0]);
    const names = [
      'cnet.layer2.0.norm3.weight',
      'cnet.norm1.num_batches_tracked',
      'cnet.layer2.0.norm1.weight',
    ];
    const table = new Map(names.map((name) => [`module.${name}`, tensor]));
    expect([...plainRaftWeights(table).keys()]).toEqual(['cnet.layer2.0.norm1.weight']);
  });
});
