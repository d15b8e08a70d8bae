import { apply, defineOp, type Value } from '../value.ts';
import { add, erf, exp, mul, sigmoid, square, sub } from './elementwise.ts';

type None = Record<string, never>;
const NONE: None = {};

const CUBIC = 0.044715;
/** The tanh form written with a sigmoid: GELU(x) ≈ x·σ(z), z = b·x + a·x³. */
const TANH_LINEAR = 2 * Math.sqrt(2 / Math.PI);

const geluTanhOp = defineOp<None>({
  name: 'geluTanh',
  infer: ([x]) => [x],
  backward: ({ inputs: [x], gradients }) => {
    // With s = σ(z) and x·z′ = 3z − 2b·x:  d/dx x·σ(z) = s + s·(1 − s)·x·z′.
    const z = mul(x, add(mul(square(x), TANH_LINEAR * CUBIC), TANH_LINEAR));
    const s = sigmoid(z);
    const slope = sub(mul(z, 3), mul(x, 2 * TANH_LINEAR));
    return [mul(mul(gradients[0]!, s), add(mul(slope, sub(1, s)), 1))];
  },
  emit: (emitter, { inputs, outputs }) => {
    emitter.node('Gelu', inputs, outputs, { approximate: 'tanh' });
  },
});

/** GELU in its tanh approximation (CogVideoX feed-forward, T5). */
export function geluTanh(x: Value): Value {
  return apply(geluTanhOp, [x], NONE);
}

const geluOp = defineOp<None>({
  name: 'gelu',
  infer: ([x]) => [x],
  backward: ({ inputs: [x], gradients }) => {
    const cumulative = add(mul(erf(mul(x, Math.SQRT1_2)), 0.5), 0.5);
    const density = mul(exp(mul(square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return [mul(gradients[0]!, add(cumulative, mul(x, density)))];
  },
  emit: (emitter, { inputs, outputs }) => {
    emitter.node('Gelu', inputs, outputs, { approximate: 'none' });
  },
});

/** Exact GELU, x·Φ(x) (DualReal adapters, open_clip, DINO). */
export function gelu(x: Value): Value {
  return apply(geluOp, [x], NONE);
}

const scaledSigmoidOp = defineOp<{ alpha: number }>({
  name: 'quickGelu',
  infer: ([x]) => [x],
  backward: ({ inputs: [x], outputs: [y], gradients, attributes: { alpha } }) => {
    // y = x·s: dy/dx = s + α·y·(1 − s).
    const s = sigmoid(alpha === 1 ? x : mul(x, alpha));
    const rest = mul(y, sub(1, s));
    return [mul(gradients[0]!, add(s, alpha === 1 ? rest : mul(rest, alpha)))];
  },
  emit: (emitter, { inputs, outputs, attributes }) => {
    emitter.node('QuickGelu', inputs, outputs, { alpha: { float: attributes.alpha } }, 'com.microsoft');
  },
});

/** x·σ(1.702x) (OpenAI CLIP). */
export function quickGelu(x: Value): Value {
  return apply(scaledSigmoidOp, [x], { alpha: 1.702 });
}

/** x·σ(x), also called swish. */
export function silu(x: Value): Value {
  return apply(scaledSigmoidOp, [x], { alpha: 1 });
}
