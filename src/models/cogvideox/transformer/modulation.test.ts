import { afterAll, describe, expect, it } from 'vitest';
import * as g from '../../../graph/index.ts';
import { createRuntime } from '../../../runtime/index.ts';
import { floats } from '../../../tensor/host-tensor.ts';
import { randomStream } from '../../../tensor/random.ts';
import { sizeOf } from '../../../tensor/shape.ts';
import { StreamFactors } from './modulation.ts';

const runtime = createRuntime({ inline: true, threads: 1 });
afterAll(() => runtime.close());

describe('factors of text and video tokens', () => {
  it.each([
    ['one group of each', 5, 10],
    ['several groups', 8, 20],
    ['streams that are split, gcd 2', 4, 6],
    ['streams that are split, gcd 1', 3, 7],
  ])('%s', async (_what, text, video) => {
    const [batch, width] = [2, 3];
    const stream = randomStream(5, 'factors', text, video);
    const draw = (...shape: number[]) => floats(shape, stream.normals(sizeOf(shape)));
    const x = draw(batch, text + video, width);
    const rows = draw(batch, 2 * 2 * width);
    const factors = new StreamFactors(text, video);
    const [scale, shift] = factors.spread(g.input('rows', rows.shape), 2);
    const output = factors.apply(g.input('x', x.shape), scale, shift);
    const executable = await runtime.compile(g.program('factors', { output }));
    const { output: actual } = await executable.run({ x, rows });
    expect(actual.shape).toEqual(x.shape);
    for (const [i, value] of x.data.entries()) {
      const sample = Math.floor(i / width / (text + video));
      const isText = Math.floor(i / width) % (text + video) < text;
      const row = (kind: number) =>
        rows.data[sample * 4 * width + (isText ? 2 * width : 0) + kind * width + (i % width)];
      expect(actual.data[i]).toBeCloseTo(value * row(0) + row(1), 5);
    }
  });
});
