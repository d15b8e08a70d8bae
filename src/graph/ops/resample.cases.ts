import { type OpCases, oneOutput } from '../op-sampler.cases.ts';
import { at, build, sumOver } from '../reference.cases.ts';
import * as g from './index.ts';

export const cases: OpCases = {
  upsampleNearest: (sampler) => {
    const factor = sampler.random.pick([1, 2, 3, 4, 6, 8]);
    const x = sampler.floats(sampler.shape(4));
    const [batch, channels, height, width] = x.shape;
    const expected = build([batch, channels, height * factor, width * factor], ([b, c, h, w]) =>
      at(x, [b, c, Math.floor(h / factor), Math.floor(w / factor)]),
    );
    return oneOutput(g.upsampleNearest(x.value, factor), expected);
  },
  sumPool: (sampler) => {
    const factor = sampler.random.pick([1, 2, 3, 4]);
    const [batch, channels, height, width] = sampler.shape(4, 4);
    const x = sampler.floats([batch, channels, height * factor, width * factor]);
    const expected = build([batch, channels, height, width], ([b, c, h, w]) =>
      sumOver(factor * factor, (i) =>
        at(x, [b, c, h * factor + Math.floor(i / factor), w * factor + (i % factor)]),
      ),
    );
    return oneOutput(g.sumPool(x.value, factor), expected);
  },
};
