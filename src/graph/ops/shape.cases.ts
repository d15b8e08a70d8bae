import { gradients } from '../gradient.ts';
import type { OpCases } from '../op-sampler.cases.ts';
import { oneOutput } from '../op-sampler.cases.ts';
import { at, build } from '../reference.cases.ts';
import * as g from './index.ts';

export const cases: OpCases = {
  reshape: (sampler) => {
    const x = sampler.floats(sampler.shape(3));
    const [a, b, c] = x.shape;
    const shape = sampler.variant([[-1], [a * b, c], [a, 1, -1], [c, b, a, 1]]);
    const value = g.reshape(x.value, shape);
    return oneOutput(value, { shape: value.shape, data: x.data });
  },
  transpose: (sampler) => {
    const x = sampler.floats(sampler.shape(2 + (sampler.index % 3)));
    const order = sampler.random.permutation(x.shape.length);
    const shape = order.map((axis) => x.shape[axis]);
    const expected = build(shape, (index) =>
      at(
        x,
        x.shape.map((_, axis) => index[order.indexOf(axis)]),
      ),
    );
    return oneOutput(g.transpose(x.value, order), expected);
  },
  expand: (sampler) => {
    const whole = sampler.shape(1 + (sampler.index % 4));
    const x = sampler.floats(
      whole.map((extent) => (sampler.random.integer(2) ? 1 : extent)).slice(sampler.random.integer(2)),
    );
    return oneOutput(
      g.expand(x.value, whole),
      build(whole, (index) => at(x, index)),
    );
  },
  concat: (sampler) => {
    const shape = sampler.shape(1 + (sampler.index % 4));
    const axis = sampler.random.integer(shape.length);
    const parts = Array.from({ length: 2 + sampler.random.integer(3) }, () =>
      sampler.floats(shape.with(axis, sampler.extent())),
    );
    const total = parts.reduce((sum, part) => sum + part.shape[axis], 0);
    const expected = build(shape.with(axis, total), (index) => {
      let rest = index[axis];
      const part = parts.find((candidate) => {
        if (rest < candidate.shape[axis]) return true;
        rest -= candidate.shape[axis];
        return false;
      })!;
      return at(part, index.with(axis, rest));
    });
    const values = parts.map((part) => part.value);
    return oneOutput(g.concat(values, axis - (sampler.random.integer(2) ? shape.length : 0)), expected);
  },
  split: (sampler) => {
    const extents = sampler.shape(1 + (sampler.index % 4));
    const shape = sampler.shape(1 + sampler.random.integer(3));
    const axis = sampler.random.integer(shape.length);
    const total = extents.reduce((sum, extent) => sum + extent, 0);
    const x = sampler.floats(shape.with(axis, total));
    let start = 0;
    const parts = extents.map((extent) => {
      const from = start;
      start += extent;
      return build(shape.with(axis, extent), (index) => at(x, index.with(axis, from + index[axis])));
    });
    const values = g.split(x.value, axis - (sampler.random.integer(2) ? shape.length : 0), extents);
    const outputs = values.map((value, i) => ({ value, expected: parts[i] }));
    // Without some of its results the op has another form.
    const kept = outputs.filter((_, i) => sampler.index < 4 || i !== sampler.index % extents.length);
    return { outputs: kept.length > 0 ? kept : outputs };
  },
  slice: (sampler) => {
    const x = sampler.floats(sampler.shape(1 + (sampler.index % 3), 9));
    const axis = sampler.random.integer(x.shape.length);
    const start = sampler.random.integer(x.shape[axis]);
    const stop = start + 1 + sampler.random.integer(x.shape[axis] - start);
    const step = sampler.extent(4);
    const shape = x.shape.with(axis, Math.ceil((stop - start) / step));
    const expected = build(shape, (index) => at(x, index.with(axis, start + step * index[axis])));
    return oneOutput(g.slice(x.value, axis, start, stop, step), expected);
  },
  pad: (sampler) => {
    const x = sampler.floats(sampler.shape(1 + (sampler.index % 3)));
    const axis = sampler.random.integer(x.shape.length);
    const [before, after] = [sampler.random.integer(4), sampler.random.integer(4)];
    const shape = x.shape.with(axis, before + x.shape[axis] + after);
    const expected = build(shape, (index) => {
      const from = index[axis] - before;
      return from >= 0 && from < x.shape[axis] ? at(x, index.with(axis, from)) : 0;
    });
    return oneOutput(g.pad(x.value, axis, before, after), expected);
  },
  gather: (sampler) => {
    const table = sampler.floats(sampler.shape(2));
    const indices = sampler.indices(sampler.shape(1 + (sampler.index % 2)), table.shape[0]);
    const expected = build([...indices.shape, table.shape[1]], (index) =>
      at(table, [at(indices, index.slice(0, -1)), index.at(-1)!]),
    );
    return oneOutput(g.gather(table.value, indices.value), expected);
  },
  // Only ever made by the gradient of gather: Σ over the places that name a row.
  scatterRows: (sampler) => {
    const table = sampler.floats([3, sampler.extent()], { fixed: true });
    const indices = sampler.indices([2, 4], 3);
    const upstream = sampler.floats([2, 4, table.shape[1]], { fixed: true });
    const loss = g.sum(g.mul(g.gather(table.value, indices.value), upstream.value));
    const expected = build(table.shape, ([row, column]) => {
      let sum = 0;
      for (let place = 0; place < 8; place++) {
        if (indices.data[place] === row) sum += upstream.data[place * table.shape[1] + column];
      }
      return sum;
    });
    return oneOutput(gradients(loss, [table.value])[0]!, expected);
  },
  cast: (sampler) => {
    const x = sampler.floats(sampler.shape(2), { low: -3, high: 3, kinks: [-2, -1, 0, 1, 2] });
    const whole = g.cast(x.value, 'i64');
    return {
      outputs: [
        { value: whole, expected: build(x.shape, (index) => Math.trunc(at(x, index))) },
        { value: g.cast(whole, 'f32'), expected: build(x.shape, (index) => Math.trunc(at(x, index))) },
      ],
    };
  },
};
