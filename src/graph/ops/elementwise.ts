import { broadcastShapes, sameShape } from '../../tensor/shape.ts';
import { ONNX_DTYPE, type OnnxEmitter } from '../onnx-emitter.ts';
import {
  apply,
  type BackwardContext,
  defineOp,
  type Op,
  requireShape,
  toValue,
  type Value,
} from '../value.ts';
import { sumTo } from './reduce.ts';
import { expandOp } from './shape.ts';

export type Operand = Value | number;
type None = Record<string, never>;
const NONE: None = {};

/**
 * An elementwise op of one operand; `derivative` gives dy·f′ from the operand, the result and dy. `emitWebgpu`
 * replaces the ONNX form there.
 */
function unary(
  name: string,
  onnxType: string,
  derivative: ((x: Value, y: Value, dy: Value) => Value) | undefined,
  emitWebgpu?: (emitter: OnnxEmitter, x: string, outputs: readonly string[]) => void,
): (x: Value) => Value {
  const op = defineOp<None>({
    name,
    infer: ([x]) => {
      requireShape(x.dtype === 'f32', name, 'f32', x);
      return [x];
    },
    ...(derivative && {
      backward: ({ inputs, outputs, gradients }: BackwardContext<None>) => [
        derivative(inputs[0], outputs[0], gradients[0]!),
      ],
    }),
    emit: (emitter, { inputs, outputs }) => {
      if (emitWebgpu && emitter.target.backend === 'webgpu') emitWebgpu(emitter, inputs[0], outputs);
      else emitter.node(onnxType, inputs, outputs);
    },
  });
  return (x) => apply(op, [x], NONE);
}

/**
 * Graphics adapters round sines to about 11 bits, and only near zero. In f64, which they do not have, they are
 * left to the CPU; the few there are (of time steps) cost nothing.
 */
function inDouble(onnxType: string) {
  return (emitter: OnnxEmitter, x: string, outputs: readonly string[]): void => {
    const [wide] = emitter.node('Cast', [x], 1, { to: ONNX_DTYPE.f64 });
    const [result] = emitter.node(onnxType, [wide], 1);
    emitter.node('Cast', [result], outputs, { to: ONNX_DTYPE.f32 });
  };
}

/** An elementwise op of two operands with broadcasting. */
function binary(
  name: string,
  onnxType: string,
  derivative?: (a: Value, b: Value, y: Value, dy: Value, needs: readonly boolean[]) => (Value | undefined)[],
  result: 'same' | 'bool' = 'same',
): (a: Operand, b: Operand) => Value {
  const op: Op<None> = defineOp<None>({
    name,
    infer: ([a, b]) => {
      requireShape(a.dtype === b.dtype, name, 'equal dtypes', a, b);
      return [
        {
          dtype: result === 'bool' ? 'bool' : a.dtype,
          shape: broadcastShapes(a.shape, b.shape, `op ${name}`),
        },
      ];
    },
    ...(derivative && {
      backward: ({ inputs: [a, b], outputs, gradients, needs }: BackwardContext<None>) => {
        const [da, db] = derivative(a, b, outputs[0], gradients[0]!, needs);
        return [
          needs[0] && da ? sumTo(da, a.shape) : undefined,
          needs[1] && db ? sumTo(db, b.shape) : undefined,
        ];
      },
    }),
    emit: (emitter, { inputs, outputs }) => {
      emitter.node(onnxType, inputs, outputs);
    },
  });
  return (a, b) => {
    const [left, right] = [toValue(a), toValue(b)];
    return apply(op, [unexpanded(left, right), unexpanded(right, left)], NONE);
  };
}

/** The operand before it was expanded, where broadcasting with `other` expands it as far. */
function unexpanded(operand: Value, other: Value): Value {
  const { op, inputs } = operand.node;
  if (op !== expandOp) return operand;
  const shape = broadcastShapes(operand.shape, other.shape);
  return sameShape(broadcastShapes(inputs[0].shape, other.shape), shape) ? inputs[0] : operand;
}

export const add = binary('add', 'Add', (_a, _b, _y, dy) => [dy, dy]);
export const sub = binary('sub', 'Sub', (_a, _b, _y, dy, needs) => [dy, needs[1] ? neg(dy) : undefined]);
export const mul = binary('mul', 'Mul', (a, b, _y, dy, needs) => {
  if (a === b) return [mul(dy, mul(a, 2)), undefined];
  return [needs[0] ? mul(dy, b) : undefined, needs[1] ? mul(dy, a) : undefined];
});
export const div = binary('div', 'Div', (_a, b, y, dy, needs) => {
  const da = div(dy, b);
  return [da, needs[1] ? neg(mul(da, y)) : undefined];
});
/** At a tie the whole gradient goes to the first operand. */
export const maximum = binary('maximum', 'Max', (a, b, _y, dy) => {
  const first = greaterOrEqual(a, b);
  return [where(first, dy, 0), where(first, 0, dy)];
});
/** At a tie the whole gradient goes to the first operand. */
export const minimum = binary('minimum', 'Min', (a, b, _y, dy) => {
  const first = greaterOrEqual(b, a);
  return [where(first, dy, 0), where(first, 0, dy)];
});
export const greaterOrEqual = binary('greaterOrEqual', 'GreaterOrEqual', undefined, 'bool');
export const less = binary('less', 'Less', undefined, 'bool');
export const equal = binary('equal', 'Equal', undefined, 'bool');

export const neg = unary('neg', 'Neg', (_x, _y, dy) => neg(dy));
export const exp = unary('exp', 'Exp', (_x, y, dy) => mul(dy, y));
export const log = unary('log', 'Log', (x, _y, dy) => div(dy, x));
export const sqrt = unary('sqrt', 'Sqrt', (_x, y, dy) => div(mul(dy, 0.5), y));
export const reciprocal = unary('reciprocal', 'Reciprocal', (_x, y, dy) => neg(mul(dy, square(y))));
export const tanh = unary('tanh', 'Tanh', (_x, y, dy) => mul(dy, sub(1, square(y))));
export const sigmoid = unary('sigmoid', 'Sigmoid', (_x, y, dy) => mul(dy, mul(y, sub(1, y))));
export const erf = unary('erf', 'Erf', (x, _y, dy) =>
  mul(dy, mul(exp(neg(square(x))), 2 / Math.sqrt(Math.PI))),
);
export const abs = unary('abs', 'Abs', (x, _y, dy) => mul(dy, sign(x)));
/** −1, 0 or 1. */
export const sign = unary('sign', 'Sign', undefined, (emitter, x, outputs) => {
  const [isNegative] = emitter.node('Less', [x, emitter.scalar(0)], 1);
  const [isPositive] = emitter.node('Less', [emitter.scalar(0), x], 1);
  const [below] = emitter.node('Where', [isNegative, emitter.scalar(-1), emitter.scalar(0)], 1);
  emitter.node('Where', [isPositive, emitter.scalar(1), below], outputs);
});
export const floor = unary('floor', 'Floor', undefined);
export const sin = unary('sin', 'Sin', (x, _y, dy) => mul(dy, cos(x)), inDouble('Sin'));
export const cos = unary('cos', 'Cos', (x, _y, dy) => neg(mul(dy, sin(x))), inDouble('Cos'));
export const relu = unary('relu', 'Relu', (_x, y, dy) => where(less(0, y), dy, 0));

export function square(x: Value): Value {
  return mul(x, x);
}

const whereOp = defineOp<None>({
  name: 'where',
  infer: ([condition, a, b]) => {
    requireShape(
      condition.dtype === 'bool' && a.dtype === b.dtype,
      'where',
      'bool, then equal dtypes',
      condition,
      a,
      b,
    );
    const shape = broadcastShapes(condition.shape, broadcastShapes(a.shape, b.shape, 'op where'), 'op where');
    return [{ dtype: a.dtype, shape }];
  },
  backward: ({ inputs: [condition, a, b], gradients, needs }) => [
    undefined,
    needs[1] ? sumTo(where(condition, gradients[0]!, 0), a.shape) : undefined,
    needs[2] ? sumTo(where(condition, 0, gradients[0]!), b.shape) : undefined,
  ],
  emit: (emitter, { inputs, outputs }) => {
    emitter.node('Where', inputs, outputs);
  },
});

/** a where the bool `condition` holds, else b; all broadcast. */
export function where(condition: Value, a: Operand, b: Operand): Value {
  return apply(whereOp, [condition, toValue(a), toValue(b)], NONE);
}

/** Values clipped to [low, high]; no gradient flows where they are clipped. */
export function clamp(x: Value, low: number, high: number): Value {
  return minimum(maximum(x, low), high);
}

const barrierOp = defineOp<None>({
  name: 'barrier',
  infer: ([x]) => [x],
  backward: ({ gradients }) => [gradients[0], undefined],
  emit: (emitter, { inputs, outputs, inputTypes }) => {
    // A zero that no optimizer can fold and that stays zero for every value of the dependency, NaN and
    // infinities included: "less than −∞" never holds.
    const flat = sameShape(inputTypes[1].shape, [1])
      ? inputs[1]
      : emitter.node('Reshape', [inputs[1], emitter.integers([-1])], 1)[0];
    const [first] = emitter.node('Slice', [flat, emitter.integers([0]), emitter.integers([1])], 1);
    const [never] = emitter.node('Less', [first, emitter.scalar(Number.NEGATIVE_INFINITY)], 1);
    const [vector] = emitter.node('Cast', [never], 1, { to: 1 });
    // [1] broadcasts to every rank but that of a scalar.
    const isScalar = inputTypes[0].shape.length === 0;
    const zero = isScalar ? emitter.node('Reshape', [vector, emitter.integers([])], 1)[0] : vector;
    emitter.node('Add', [inputs[0], zero], outputs);
  },
});

/** x, but not before `dependency` has been computed (recomputation must not be merged with the first run). */
export function barrier(x: Value, dependency: Value): Value {
  return apply(barrierOp, [x, dependency], NONE);
}
