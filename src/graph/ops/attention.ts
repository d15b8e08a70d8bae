import { broadcastShapes, formatShape, sameShape } from '../../tensor/shape.ts';
import { apply, applyAll, defineOp, NotDifferentiableError, requireShape, type Value } from '../value.ts';
import { add, mul, neg, sub } from './elementwise.ts';
import { emitMatmul, matmul } from './matrix.ts';
import { sum, sumTo } from './reduce.ts';
import { transposeLast } from './shape.ts';

const FROM_KEYS = { transposeA: false, transposeB: true };

const attentionOp = defineOp<{ scale: number }>({
  name: 'attention',
  infer: ([q, k, v, bias]) => {
    const fits =
      [q, k, v].every(
        ({ shape }) => shape.length === 4 && sameShape(shape.slice(0, 2), q.shape.slice(0, 2)),
      ) &&
      q.shape[3] === k.shape[3] &&
      v.shape[2] === k.shape[2];
    requireShape(fits, 'attention', 'q [B, H, N, d], k [B, H, M, d] and v [B, H, M, e]', q, k, v);
    const scores = [...q.shape.slice(0, 3), k.shape[2]];
    const biasFits = !bias || sameShape(broadcastShapes(bias.shape, scores, 'op attention'), scores);
    requireShape(biasFits, 'attention', `a bias that broadcasts to ${formatShape(scores)}`, bias);
    return [
      { dtype: q.dtype, shape: [...q.shape.slice(0, 3), v.shape[3]] },
      { dtype: q.dtype, shape: scores },
    ];
  },
  backward: ({ inputs: [q, k, v, bias], outputs: [o, p], gradients, attributes: { scale }, needs }) => {
    const [dO, dWeights] = gradients;
    const fromOutput = dO && matmul(dO, v, FROM_KEYS);
    const dP = fromOutput && dWeights ? add(fromOutput, dWeights) : (fromOutput ?? dWeights!);
    // With O = P·V, the softmax rule's row sum of dP∘P equals the much cheaper row sum of dO∘O.
    const rowSum = sum(dWeights ? mul(dP, p) : mul(dO!, o), [-1], true); // [B, H, N, 1]
    const dS = mul(p, sub(dP, rowSum)); // [B, H, N, M]
    // Products with Pᵀ and dSᵀ are taken as (small·big)ᵀ: the N×M matrices are never transposed.
    const dV = needs[2] && dO ? transposeLast(matmul(dO, p, { transposeA: true })) : undefined;
    const dQ = needs[0] ? matmul(dS, k, { alpha: scale }) : undefined;
    const dK = needs[1] ? transposeLast(matmul(q, dS, { transposeA: true, alpha: scale })) : undefined;
    if (!bias) return [dQ, dK, dV];
    return [dQ, dK, dV, needs[3] ? sumTo(dS, bias.shape) : undefined];
  },
  emit: (emitter, { inputs: [q, k, v, bias], outputs, attributes }) => {
    const product = emitMatmul(emitter, [q, k], [4, 4], { ...FROM_KEYS, alpha: attributes.scale }, 1);
    const scores = bias ? emitter.node('Add', [product, bias], 1)[0] : product;
    const weights = emitter.node('Softmax', [scores], outputs[1] === '' ? 1 : [outputs[1]], { axis: -1 })[0];
    emitter.node('MatMul', [weights, v], [outputs[0]]);
  },
});

/**
 * softmax(scale·q·kᵀ + bias)·v for q [B, H, N, d], k [B, H, M, d], v [B, H, M, e] and an optional
 * additive bias that broadcasts to [B, H, N, M] → [B, H, N, e]. `scale` defaults to 1/√d.
 */
export function attention(
  q: Value,
  k: Value,
  v: Value,
  options: { scale?: number; bias?: Value } = {},
): Value {
  return attentionWithWeights(q, k, v, options)[0];
}

/** {@link attention}, with the weights [B, H, N, M] as second result. */
export function attentionWithWeights(
  q: Value,
  k: Value,
  v: Value,
  { scale = 1 / Math.sqrt(q.shape.at(-1)!), bias }: { scale?: number; bias?: Value } = {},
): readonly Value[] {
  return applyAll(attentionOp, bias ? [q, k, v, bias] : [q, k, v], { scale });
}

const rotaryOp = defineOp<Record<string, never>>({
  name: 'rotary',
  infer: ([x, cos, sin, positions]) => {
    const fits =
      x.shape.length === 3 &&
      cos.shape.length === 2 &&
      sameShape(sin.shape, cos.shape) &&
      x.shape[2] % (2 * cos.shape[1]) === 0 &&
      (positions
        ? sameShape(positions.shape, x.shape.slice(0, 2)) && cos.shape[0] >= x.shape[1]
        : cos.shape[0] === x.shape[1]);
    const expected = positions
      ? 'x [B, N, H·d], cos and sin [M, d/2] with M ≥ N, positions [B, N]'
      : 'x [B, N, H·d], cos and sin [N, d/2]';
    requireShape(fits, 'rotary', expected, x, cos, sin, ...(positions ? [positions] : []));
    return [x];
  },
  backward: ({ inputs: [, cos, sin, positions], gradients, needs }) => {
    if (needs[1] || needs[2]) {
      throw new NotDifferentiableError({
        where: 'gradient through op rotary',
        expected: 'tables of angles that depend on no target',
        got: 'tables that do',
      });
    }
    return [rotary(gradients[0]!, cos, neg(sin), positions)];
  },
  emit: (emitter, { inputs: [x, cos, sin, rows], outputs, inputTypes }) => {
    const positions = rows ?? emitter.integers([0]);
    const headDim = inputTypes[1].shape[1] * 2;
    const attributes = { interleaved: 1, num_heads: inputTypes[0].shape[2] / headDim };
    emitter.node('RotaryEmbedding', [x, positions, cos, sin], outputs, attributes, 'com.microsoft');
  },
});

/**
 * Rotates each pair (2i, 2i+1) of every head by its position's angle: x [B, N, H·d] with cos and sin
 * [N, d/2] → [B, N, H·d]. Rows with cos 1 and sin 0 pass unchanged. With `positions` [B, N] (i64) each sample's
 * token n has the angles of row positions[b, n] of longer tables [M, d/2]. No gradient for the tables.
 */
export function rotary(x: Value, cos: Value, sin: Value, positions?: Value): Value {
  return apply(rotaryOp, positions ? [x, cos, sin, positions] : [x, cos, sin], {});
}
