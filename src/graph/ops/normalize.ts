import { floats } from '../../tensor/host-tensor.ts';
import { apply, applyAll, defineOp, requireShape, type Value } from '../value.ts';
import { add, div, mul, sqrt, square, sub } from './elementwise.ts';
import { mean, sum, sumTo } from './reduce.ts';

const normalizeOp = defineOp<{ epsilon: number }>({
  name: 'normalize',
  infer: ([x]) => [x, { dtype: x.dtype, shape: [...x.shape.slice(0, -1), 1] }],
  backward: ({ outputs: [normalized, inverseDeviation], gradients }) => {
    const dy = gradients[0]!;
    const centred = sub(dy, mean(dy, [-1], true));
    const along = mul(normalized, mean(mul(dy, normalized), [-1], true));
    return [mul(sub(centred, along), inverseDeviation)];
  },
  emit: (emitter, { inputs, outputs, inputTypes, attributes }) => {
    const width = inputTypes[0].shape.at(-1)!;
    const ones = emitter.constant(floats([width], new Float32Array(width).fill(1)));
    // ONNX names three results; the mean in the middle is never needed.
    const results = outputs[1] === '' ? [outputs[0]] : [outputs[0], '', outputs[1]];
    emitter.node('LayerNormalization', [inputs[0], ones], results, {
      axis: -1,
      epsilon: { float: attributes.epsilon },
    });
  },
});

/**
 * (x − mean)/√(variance + ε) over the last axis, without affine: the result is x̂ itself, which the
 * backward rule needs and which lets callers fold gain and shift into other factors.
 */
export function normalize(x: Value, epsilon: number): Value {
  return applyAll(normalizeOp, [x], { epsilon })[0];
}

const layerNormOp = defineOp<{ epsilon: number }>({
  name: 'layerNorm',
  infer: ([x, gain, shift]) => {
    const width = x.shape.at(-1);
    const fits = [gain, shift].every(({ shape }) => shape.length === 1 && shape[0] === width);
    requireShape(fits, 'layerNorm', 'x [..., C], gain [C] and shift [C]', x, gain, shift);
    const perRow = { dtype: x.dtype, shape: [...x.shape.slice(0, -1), 1] };
    return [x, perRow, perRow];
  },
  backward: ({ inputs: [x, gain, shift], outputs: [, average, inverse], gradients, needs }) => {
    const dy = gradients[0]!;
    // Kept are x and two numbers per row. With c = x − mean, x̂ = c·inverse is needed only for the gain.
    const centred = sub(x, average);
    const dGain = needs[1] ? sumTo(mul(dy, mul(centred, inverse)), gain.shape) : undefined;
    const dShift = needs[2] ? sumTo(dy, shift.shape) : undefined;
    if (!needs[0]) return [undefined, dGain, dShift];
    const dNormalized = mul(dy, gain);
    const slope = mul(mean(mul(dNormalized, centred), [-1], true), square(inverse));
    const rest = sub(sub(dNormalized, mean(dNormalized, [-1], true)), mul(centred, slope));
    return [mul(rest, inverse), dGain, dShift];
  },
  emit: (emitter, { inputs, outputs, attributes }) => {
    const results = outputs[2] === '' ? [outputs[0]] : outputs;
    emitter.node('LayerNormalization', inputs, results, {
      axis: -1,
      epsilon: { float: attributes.epsilon },
    });
  },
});

/** LayerNorm over the last axis with gain and shift [C]. */
export function layerNorm(x: Value, gain: Value, shift: Value, epsilon: number): Value {
  return applyAll(layerNormOp, [x, gain, shift], { epsilon })[0];
}

/** x / √(mean(x²) + ε) · gain over the last axis (T5's layer norm). */
export function rmsNorm(x: Value, gain: Value, epsilon: number): Value {
  return mul(div(x, sqrt(add(mean(square(x), [-1], true), epsilon))), gain);
}

const softmaxOp = defineOp<Record<string, never>>({
  name: 'softmax',
  infer: ([x]) => [x],
  backward: ({ outputs: [y], gradients }) => {
    const weighted = mul(gradients[0]!, y);
    return [sub(weighted, mul(y, sum(weighted, [-1], true)))];
  },
  emit: (emitter, { inputs, outputs }) => {
    emitter.node('Softmax', inputs, outputs, { axis: -1 });
  },
});

/** Softmax over the last axis. */
export function softmax(x: Value): Value {
  return apply(softmaxOp, [x], {});
}
