import type { OpCases } from '../op-sampler.cases.ts';
import { oneOutput } from '../op-sampler.cases.ts';
import { at, build } from '../reference.cases.ts';
import * as g from './index.ts';
import { product, swapLast } from './matrix.cases.ts';
import { softmaxReference } from './normalize.cases.ts';

export const cases: OpCases = {
  attention: (sampler) => {
    const [batch, heads] = sampler.shape(2, 3);
    const [tokens, keys, width, valueWidth] = sampler.shape(4, 6);
    const q = sampler.floats([batch, heads, tokens, width]);
    const k = sampler.floats([batch, heads, keys, width]);
    const v = sampler.floats([batch, heads, keys, valueWidth]);
    const biasShape = sampler.variant([
      undefined,
      [batch, heads, tokens, keys],
      [1, heads, tokens, keys],
      [batch, 1, 1, keys],
      [1, 1, tokens, keys],
    ]);
    const bias = biasShape && sampler.floats(biasShape);
    const scale = sampler.variant([undefined, 1, 0.3]);
    const factor = scale ?? 1 / Math.sqrt(width);
    const scores = product(q, swapLast(k, true));
    const weights = softmaxReference(
      build(scores.shape, (index) => factor * at(scores, index) + (bias ? at(bias, index) : 0)),
    );
    const options = { ...(scale && { scale }), ...(bias && { bias: bias.value }) };
    const [output, traced] = g.attentionWithWeights(q.value, k.value, v.value, options);
    const outputs = [
      { value: output, expected: product(weights, v) },
      { value: traced, expected: weights },
    ];
    // Alone as programs use it, and with the weights as a second result.
    return { outputs: outputs.slice(0, 1 + (sampler.index % 2)) };
  },
  rotary: (sampler) => {
    const [batch, tokens, heads, half] = sampler.shape(4, 4);
    const x = sampler.floats([batch, tokens, heads * half * 2]);
    // Every other trial takes each sample's angles from rows of longer tables.
    const rows = sampler.index % 2 ? tokens + 2 : tokens;
    const positions = sampler.index % 2 ? sampler.indices([batch, tokens], rows) : undefined;
    const angles = build([rows, half], () => 4 * sampler.random.uniform());
    const cos = sampler.fixed(build(angles.shape, (index) => Math.cos(at(angles, index))));
    const sin = sampler.fixed(build(angles.shape, (index) => Math.sin(at(angles, index))));
    const expected = build(x.shape, ([b, n, c]) => {
      const pair = c - (c % 2);
      const angle = [positions ? at(positions, [b, n]) : n, (c % (2 * half)) >> 1];
      const [even, odd] = [at(x, [b, n, pair]), at(x, [b, n, pair + 1])];
      return c % 2 === 0
        ? even * at(cos, angle) - odd * at(sin, angle)
        : odd * at(cos, angle) + even * at(sin, angle);
    });
    return oneOutput(g.rotary(x.value, cos.value, sin.value, positions?.value), expected);
  },
};
