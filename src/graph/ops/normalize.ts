import { floats } from '../../tensor/host-tensor.ts';
import { apply, applyAll, defineOp, type Value } from '../value.ts';
import { add, div, mul, sqrt, square, sub } from './elementwise.ts';
import { mean, sum } from './reduce.ts';

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

/** LayerNorm over the last axis with gain and shift [C]. */
export function layerNorm(
  x: Value,
  gain: Value | undefined,
  shift: Value | undefined,
  epsilon: number,
): Value {
  const normalized = normalize(x, epsilon);
  const scaled = gain ? mul(normalized, gain) : normalized;
  return shift ? add(scaled, shift) : scaled;
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
