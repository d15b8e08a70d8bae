import { floats } from '../../tensor/host-tensor.ts';
import { sameShape } from '../../tensor/shape.ts';
import type { OnnxEmitter } from '../onnx-emitter.ts';
import { applyAll, defineOp, requireShape, type Value } from '../value.ts';
import { add, mul, sub } from './elementwise.ts';
import { mean, sum } from './reduce.ts';
import { concat, reshape } from './shape.ts';

interface GroupAttributes {
  readonly groups: number;
  readonly epsilon: number;
  /** How often each frame stands in the clip. */
  readonly counts: readonly number[];
}

const groupNormalizeOp = defineOp<GroupAttributes>({
  name: 'groupNormalize',
  infer: (frames, { groups, counts }) => {
    const [first] = frames;
    const [batch, channels] = first.shape;
    const alike =
      frames.every((frame) => sameShape(frame.shape, first.shape)) && counts.length === frames.length;
    const fits = alike && first.shape.length === 4 && channels % groups === 0;
    requireShape(fits, 'groupNormalize', `frames [B, C, H, W] alike, C a multiple of ${groups}`, ...frames);
    return [...frames, { dtype: first.dtype, shape: [batch, groups, 1] }];
  },
  backward: ({ inputs, outputs, gradients, attributes: { groups, counts }, needs }) => {
    const { shape } = inputs[0];
    const inverseDeviation = outputs[inputs.length];
    const rows = (x: Value) => reshape(x, [shape[0], groups, -1]); // [B, G, C/G·H·W]
    const normalized = inputs.map((_, i) => rows(outputs[i]));
    const dys = inputs.map((_, i) => (gradients[i] ? rows(gradients[i]) : undefined));
    const total = counts.reduce((all, count) => all + count, 0);
    const average = (parts: Value[]) => mul(sum(concat(parts, 2), [2], true), 1 / total); // [B, G, 1]
    const means = average(dys.flatMap((dy) => (dy ? [mean(dy, [2], true)] : [])));
    const along = average(dys.flatMap((dy, i) => (dy ? [mean(mul(dy, normalized[i]), [2], true)] : [])));
    const shift = mul(means, inverseDeviation);
    const slope = mul(along, inverseDeviation);
    return inputs.map((_, i) => {
      if (!needs[i]) return undefined;
      const times = (x: Value) => (counts[i] === 1 ? x : mul(x, counts[i]));
      const common = add(mul(normalized[i], times(slope)), times(shift));
      const dy = dys[i];
      return reshape(dy ? sub(mul(dy, inverseDeviation), common) : mul(common, -1), shape);
    });
  },
  emit: (emitter, { inputs, outputs, inputTypes, attributes }) => {
    const { groups, epsilon, counts } = attributes;
    const [batch] = inputTypes[0].shape;
    const total = counts.reduce((all, count) => all + count, 0);
    const shares = emitter.constant(
      floats(
        [counts.length, 1],
        counts.map((count) => count / total),
      ),
    );
    const average = (parts: readonly string[]) => {
      if (parts.length === 1) return parts[0];
      const [all] = emitter.node('Concat', parts, 1, { axis: 2 });
      return emitter.node('MatMul', [all, shares], 1)[0]; // [B, G, 1]
    };
    const rows = inputs.map((input) =>
      node(emitter, 'Reshape', input, emitter.integers([batch, groups, -1])),
    );
    const center = average(rows.map((row) => meanOf(emitter, row)));
    const centred = rows.map((row) => node(emitter, 'Sub', row, center));
    const variance = average(centred.map((row) => meanOf(emitter, node(emitter, 'Mul', row, row))));
    const deviation = node(emitter, 'Sqrt', node(emitter, 'Add', variance, emitter.scalar(epsilon)));
    const statistic = outputs[inputs.length];
    const [inverse] = emitter.node('Reciprocal', [deviation], statistic === '' ? 1 : [statistic]);
    const shape = emitter.integers(inputTypes[0].shape);
    for (const [i, row] of centred.entries()) {
      if (outputs[i] === '') continue;
      emitter.node('Reshape', [node(emitter, 'Mul', row, inverse), shape], [outputs[i]]);
    }
  },
});

function node(emitter: OnnxEmitter, type: string, ...operands: string[]): string {
  return emitter.node(type, operands, 1)[0];
}

function meanOf(emitter: OnnxEmitter, rows: string): string {
  return emitter.node('ReduceMean', [rows, emitter.integers([2])], 1, { keepdims: 1 })[0];
}

/**
 * (x − mean)/√(variance + ε) of a clip's frames [B, C, H, W], statistics per clip and group of C/groups
 * channels over all frames and pixels (torch GroupNorm of [B, C, F, H, W]), without affine. A frame that
 * stands in the clip several times as one value is computed once, and counts as often as it stands there.
 */
export function groupNormalize(frames: readonly Value[], groups: number, epsilon: number): readonly Value[] {
  const distinct = [...new Set(frames)];
  const counts = distinct.map((frame) => frames.filter((other) => other === frame).length);
  const normalized = applyAll(groupNormalizeOp, distinct, { groups, epsilon, counts });
  return frames.map((frame) => normalized[distinct.indexOf(frame)]);
}
