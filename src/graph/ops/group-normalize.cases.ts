import type { OpCases } from '../op-sampler.cases.ts';
import { at, build } from '../reference.cases.ts';
import * as g from './index.ts';

export const cases: OpCases = {
  groupNormalize: (sampler) => {
    const groups = sampler.extent(3);
    const epsilon = sampler.random.pick([1e-6, 1e-3]);
    const shape = [sampler.extent(2), groups * sampler.extent(3), 1 + sampler.extent(3), sampler.extent(4)];
    const drawn = Array.from({ length: sampler.extent(4) }, () => sampler.floats(shape));
    // Some frames stand in the clip twice, as after an upsampling in time.
    const frames = drawn.flatMap((frame, i) => (i % 2 === 1 ? [frame, frame] : [frame]));
    const perGroup = shape[1] / groups;
    const statistics = (batch: number, group: number) => {
      const values: number[] = [];
      for (const frame of frames) {
        build([perGroup, shape[2], shape[3]], ([c, h, w]) => {
          values.push(at(frame, [batch, group * perGroup + c, h, w]));
          return 0;
        });
      }
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
      return { mean, deviation: Math.sqrt(variance + epsilon) };
    };
    const table = Array.from({ length: shape[0] }, (_, batch) =>
      Array.from({ length: groups }, (_, group) => statistics(batch, group)),
    );
    const images = frames.map(({ value }) => value);
    const results = g.groupNormalize(images, groups, epsilon);
    return {
      outputs: frames.map((frame, i) => ({
        value: results[i],
        expected: build(shape, (index) => {
          const { mean, deviation } = table[index[0]][Math.floor(index[1] / perGroup)];
          return (at(frame, index) - mean) / deviation;
        }),
      })),
      tolerance: 1e-5,
    };
  },
};
