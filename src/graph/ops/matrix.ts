import { broadcastShapes, type Shape } from '../../tensor/shape.ts';
import type { OnnxEmitter } from '../onnx-emitter.ts';
import { apply, type BackwardContext, defineOp, requireShape, type Value } from '../value.ts';
import { add, mul } from './elementwise.ts';
import { sumTo } from './reduce.ts';
import { reshape } from './shape.ts';

interface Transposes {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

export interface GemmAttributes extends Transposes {
  /** What the addend is multiplied with; default 1. */
  readonly addendScale?: number;
}

export interface MatmulAttributes extends Transposes {
  readonly alpha: number;
}

type Product = (a: Value, b: Value, attributes: Transposes) => Value;

/** Gradients of A′·B′ for each operand as products that use the operands' own layouts. */
function productGradients(
  { inputs: [a, b], gradients, needs }: BackwardContext<Transposes>,
  { transposeA, transposeB }: Transposes,
  product: Product,
): (Value | undefined)[] {
  const dy = gradients[0]!;
  let da: Value | undefined;
  let db: Value | undefined;
  if (needs[0]) {
    da = transposeA
      ? product(b, dy, { transposeA: transposeB, transposeB: true })
      : product(dy, b, { transposeA: false, transposeB: !transposeB });
  }
  if (needs[1]) {
    db = transposeB
      ? product(dy, a, { transposeA: true, transposeB: transposeA })
      : product(a, dy, { transposeA: !transposeA, transposeB: false });
  }
  return [da, db];
}

export const gemmOp = defineOp<GemmAttributes>({
  name: 'gemm',
  infer: ([a, b, c], { transposeA, transposeB }) => {
    const matrices = a.shape.length === 2 && b.shape.length === 2;
    requireShape(matrices, 'gemm', 'two matrices', a, b);
    const [rows, inner] = transposeA ? [a.shape[1], a.shape[0]] : a.shape;
    const [innerB, columns] = transposeB ? [b.shape[1], b.shape[0]] : b.shape;
    requireShape(inner === innerB, 'gemm', 'equal inner extents', a, b);
    const shape = [rows, columns];
    if (c) {
      const fits = broadcastShapes(c.shape, shape, 'op gemm').every((extent, i) => extent === shape[i]);
      requireShape(fits, 'gemm', 'an addend that broadcasts to the product', c);
    }
    return [{ dtype: a.dtype, shape }];
  },
  backward: (context) => {
    const addend = context.inputs[2];
    const [da, db] = productGradients(context, context.attributes, gemm);
    if (!addend || !context.needs[2]) return [da, db];
    const { addendScale = 1 } = context.attributes;
    const dAddend = sumTo(context.gradients[0]!, addend.shape);
    return [da, db, addendScale === 1 ? dAddend : mul(dAddend, addendScale)];
  },
  emit: (emitter, { inputs, outputs, attributes: { transposeA, transposeB, addendScale = 1 } }) => {
    emitter.node('Gemm', inputs, outputs, {
      transA: transposeA ? 1 : 0,
      transB: transposeB ? 1 : 0,
      ...(addendScale !== 1 && { beta: { float: addendScale } }),
    });
  },
});

/** A′·B′ (+ addendScale·C) of matrices, where ′ transposes as asked; C broadcasts to the product. */
export function gemm(a: Value, b: Value, attributes: Partial<GemmAttributes> = {}, c?: Value): Value {
  return apply(gemmOp, c ? [a, b, c] : [a, b], { transposeA: false, transposeB: false, ...attributes });
}

/** x·Wᵀ + b for x [..., in], W [out, in] as checkpoints store it, b [out] → [..., out]. */
export function linear(x: Value, weight: Value, bias?: Value): Value {
  const [out, inner] = weight.shape;
  const flat = reshape(x, [-1, inner]);
  return reshape(gemm(flat, weight, { transposeB: true }, bias), [...x.shape.slice(0, -1), out]);
}

/**
 * y + addend for y [rows, columns] that may come from {@link linear}: then the product is taken with
 * `addend` in place of its bias, which saves a pass, and the bias [columns] is left to the caller.
 */
export function addToLinear(y: Value, addend: Value): { sum: Value; bias?: Value } {
  const { op, inputs, attributes } = y.node;
  const [a, b, bias] = inputs;
  const isLinear = op === gemmOp && (!bias || (bias.shape.length === 1 && bias.shape[0] === y.shape[1]));
  if (!isLinear) return { sum: add(y, addend) };
  const { transposeA, transposeB } = attributes as GemmAttributes;
  const sum = gemm(a, b, { transposeA, transposeB }, addend);
  return bias ? { sum, bias } : { sum };
}

function matmulShape(a: Shape, b: Shape, { transposeA, transposeB }: Transposes): Shape | undefined {
  const [rows, inner] = transposeA ? [a.at(-1)!, a.at(-2)!] : [a.at(-2)!, a.at(-1)!];
  const [innerB, columns] = transposeB ? [b.at(-1)!, b.at(-2)!] : [b.at(-2)!, b.at(-1)!];
  if (inner !== innerB) return undefined;
  return [...broadcastShapes(a.slice(0, -2), b.slice(0, -2), 'op matmul'), rows, columns];
}

/** alpha·A′·B′ over leading batch axes in ONNX, with one fused node where the backend has it. */
export function emitMatmul(
  emitter: OnnxEmitter,
  [a, b]: readonly string[],
  [aRank, bRank]: readonly number[],
  { transposeA, transposeB, alpha }: MatmulAttributes,
  outputs: readonly string[] | 1,
): string {
  const plain = !transposeA && !transposeB && alpha === 1;
  if (plain) return emitter.node('MatMul', [a, b], outputs)[0];
  if (emitter.target.backend === 'cpu') {
    const attributes = { transA: transposeA ? 1 : 0, transB: transposeB ? 1 : 0, alpha: { float: alpha } };
    return emitter.node('FusedMatMul', [a, b], outputs, attributes, 'com.microsoft')[0];
  }
  const swap = (name: string, rank: number) => {
    const order = Array.from({ length: rank }, (_, axis) => axis);
    [order[rank - 2], order[rank - 1]] = [order[rank - 1], order[rank - 2]];
    return emitter.node('Transpose', [name], 1, { perm: order })[0];
  };
  const left = transposeA ? swap(a, aRank) : a;
  const right = transposeB ? swap(b, bRank) : b;
  if (alpha === 1) return emitter.node('MatMul', [left, right], outputs)[0];
  const [scaled] = emitter.node('Mul', [left, emitter.scalar(alpha)], 1);
  return emitter.node('MatMul', [scaled, right], outputs)[0];
}

const matmulOp = defineOp<MatmulAttributes>({
  name: 'matmul',
  infer: ([a, b], attributes) => {
    requireShape(a.shape.length >= 2 && b.shape.length >= 2, 'matmul', 'matrices', a, b);
    const shape = matmulShape(a.shape, b.shape, attributes);
    requireShape(shape !== undefined, 'matmul', 'equal inner extents', a, b);
    return [{ dtype: a.dtype, shape: shape! }];
  },
  backward: (context) => {
    const { alpha } = context.attributes;
    const [da, db] = productGradients(context, context.attributes, (x, y, attributes) =>
      matmul(x, y, { ...attributes, alpha }),
    );
    const [a, b] = context.inputs;
    return [da && sumTo(da, a.shape), db && sumTo(db, b.shape)];
  },
  emit: (emitter, { inputs, outputs, inputTypes, attributes }) => {
    const ranks = inputTypes.map((type) => type.shape.length);
    emitMatmul(emitter, inputs, ranks, attributes, outputs);
  },
});

/** alpha·A′·B′ over broadcast leading axes. */
export function matmul(a: Value, b: Value, attributes: Partial<MatmulAttributes> = {}): Value {
  return apply(matmulOp, [a, b], { transposeA: false, transposeB: false, alpha: 1, ...attributes });
}
