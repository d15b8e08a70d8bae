import { apply, defineOp, requireShape, type Value } from '../value.ts';

interface Factor {
  readonly factor: number;
}

const upsampleOp = defineOp<Factor>({
  name: 'upsampleNearest',
  infer: ([x], { factor }) => {
    const fits = x.shape.length === 4 && Number.isInteger(factor) && factor >= 1;
    requireShape(fits, 'upsampleNearest', `an image [B, C, H, W] and a whole factor, not ${factor}`, x);
    const [batch, channels, height, width] = x.shape;
    return [{ dtype: x.dtype, shape: [batch, channels, height * factor, width * factor] }];
  },
  backward: ({ gradients, attributes: { factor } }) => [sumPool(gradients[0]!, factor)],
  emit: (emitter, { inputs, outputs, inputTypes, attributes }) => {
    const [batch, channels, ...extent] = inputTypes[0].shape;
    let image = inputs[0];
    let size = extent;
    // Doubling has a kernel of its own on the CPU: three of them are five times as fast as one factor of 8.
    for (let rest = attributes.factor; rest > 1; ) {
      const step = rest % 2 === 0 ? 2 : rest;
      rest /= step;
      size = size.map((length) => length * step);
      const operands = [image, '', '', emitter.integers([batch, channels, ...size])];
      [image] = emitter.node('Resize', operands, rest > 1 ? 1 : outputs, {
        mode: 'nearest',
        nearest_mode: 'floor',
        coordinate_transformation_mode: 'asymmetric',
      });
    }
  },
});

/** x [B, C, H, W] with every pixel as a factor × factor square → [B, C, H·factor, W·factor]. */
export function upsampleNearest(x: Value, factor: number): Value {
  return factor === 1 ? x : apply(upsampleOp, [x], { factor });
}

const sumPoolOp = defineOp<Factor>({
  name: 'sumPool',
  infer: ([x], { factor }) => {
    const [batch, channels, height, width] = x.shape;
    const fits = x.shape.length === 4 && height % factor === 0 && width % factor === 0;
    requireShape(fits, 'sumPool', `an image [B, C, H, W] of whole squares of ${factor}`, x);
    return [{ dtype: x.dtype, shape: [batch, channels, height / factor, width / factor] }];
  },
  backward: ({ gradients, attributes: { factor } }) => [upsampleNearest(gradients[0]!, factor)],
  emit: (emitter, { inputs, outputs, inputTypes, outputTypes, attributes: { factor } }) => {
    const [batch, channels, height, width] = inputTypes[0].shape;
    const apart = [(batch * channels * height) / factor, factor, width / factor, factor];
    const [squares] = emitter.node('Reshape', [inputs[0], emitter.integers(apart)], 1);
    const [sums] = emitter.node('ReduceSum', [squares, emitter.integers([1, 3])], 1, { keepdims: 0 });
    emitter.node('Reshape', [sums, emitter.integers(outputTypes[0].shape)], outputs);
  },
});

/** Sums over squares of factor × factor pixels: x [B, C, H, W] → [B, C, H/factor, W/factor]. */
export function sumPool(x: Value, factor: number): Value {
  return factor === 1 ? x : apply(sumPoolOp, [x], { factor });
}
