import { type OpCases, oneOutput } from '../op-sampler.cases.ts';
import { at, build, sumOver } from '../reference.cases.ts';
import * as g from './index.ts';

export const cases: OpCases = {
  gridSample: (sampler) => {
    const [batch, channels] = sampler.shape(2, 3);
    const [height, width] = [2 + sampler.random.integer(5), 2 + sampler.random.integer(5)];
    const images = sampler.floats([batch, channels, height, width], { fixed: true });
    const places = sampler.floats([batch, ...sampler.shape(2), 2], { fixed: true, low: -1.7, high: 1.7 });
    const expected = build([batch, channels, places.shape[1], places.shape[2]], ([b, c, i, j]) => {
      const x = ((at(places, [b, i, j, 0]) + 1) / 2) * (width - 1);
      const y = ((at(places, [b, i, j, 1]) + 1) / 2) * (height - 1);
      const near = (place: number, pixel: number) => Math.max(0, 1 - Math.abs(place - pixel));
      return sumOver(height, (row) =>
        sumOver(width, (column) => near(y, row) * near(x, column) * at(images, [b, c, row, column])),
      );
    });
    return oneOutput(g.gridSample(images.value, places.value), expected);
  },
};
