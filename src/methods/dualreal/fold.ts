import { DualrealError, ShapeError } from '../../tensor/errors.ts';
import { asFloats, type FloatTensor, floats, type HostTensor } from '../../tensor/host-tensor.ts';
import { formatShape, sizeOf } from '../../tensor/shape.ts';
import { type DualRealShape, expectedTensors, fusedName, inferDualRealShape, sitesOf } from './layout.ts';
import { adapterName } from './names.ts';
import type { DualRealOptions } from './options.ts';

/** Adapters that cannot be rewritten as asked without changing what they compute. */
export class FoldError extends DualrealError {}

type AdapterTensors = ReadonlyMap<string, HostTensor>;

/**
 * Folds the condition of one fixed reference image into the motion adapters, which then need no condition
 * and no W_cond (79 % of a release file). With c = C·y + c₀ the projection Down(h + c) is Down(h) with the
 * bias b + D·c, and where the condition multiplies, Down(h ⊙ c) is Down(h) with the columns of D scaled
 * by c. Computed in f64. `reference` is the image embedding y, of conditionDim elements.
 */
export function foldCondition(
  tensors: AdapterTensors,
  options: DualRealOptions,
  reference: HostTensor,
): Map<string, HostTensor> {
  const shape = inferDualRealShape(tensors);
  requireCondition(shape, reference);
  const embedding = asFloats(reference).data;
  const folded = new Map<string, HostTensor>();
  // The order of a complete set without condition.
  for (const name of expectedTensors({ ...shape, conditionDim: 0 }).keys())
    folded.set(name, tensors.get(name)!);
  for (const path of motionAdapters(shape)) {
    const read = (name: string) => asFloats(tensors.get(`${path}.${name}`)!);
    const condition = affine(read('condition_linear.weight'), embedding, read('condition_linear.bias'));
    const down = read('down_linear.weight');
    if (options.conditionForm === 'multiply') {
      folded.set(`${path}.down_linear.weight`, scaleColumns(down, condition));
    } else {
      const bias = affine(down, condition, read('down_linear.bias'));
      folded.set(`${path}.down_linear.bias`, floats([shape.bottleneck], Float32Array.from(bias)));
    }
  }
  return folded;
}

/**
 * Both adapters of every site as one: a down projection [2·bottleneck, D] and an up projection
 * [D, 2·bottleneck], identity first, with an up bias for each, [2, D]. With the skip h once,
 * output + total·h + Up(w ⊙ GELU(Down(h))) + Σ wₖ·bₖ. Needs adapters without condition (see
 * {@link foldCondition}) and GELU between the projections.
 */
export function fuseAdapters(tensors: AdapterTensors, options: DualRealOptions): Map<string, HostTensor> {
  const shape = inferDualRealShape(tensors);
  requireFusable(shape, options);
  const read = (path: string, name: string) => asFloats(tensors.get(`${path}.${name}`)!);
  const fused = new Map<string, HostTensor>();
  for (let block = 0; block < shape.blocks; block++) {
    for (const site of sitesOf(shape.placement)) {
      const root = `transformer_blocks.${block}`;
      const pair = (name: string) => [
        read(`${root}.${adapterName('identity', site)}`, name),
        read(`${root}.${adapterName('motion', site)}`, name),
      ];
      const { bottleneck, width } = shape;
      const path = `${root}.${fusedName(site)}`;
      fused.set(`${path}.down_linear.weight`, stackRows(pair('down_linear.weight'), [2 * bottleneck, width]));
      fused.set(`${path}.down_linear.bias`, stackRows(pair('down_linear.bias'), [2 * bottleneck]));
      fused.set(`${path}.up_linear.weight`, joinColumns(pair('up_linear.weight')));
      fused.set(`${path}.up_linear.bias`, stackRows(pair('up_linear.bias'), [2, width]));
    }
  }
  for (const [name, tensor] of tensors) if (name.startsWith('controller.')) fused.set(name, tensor);
  return fused;
}

function motionAdapters({ blocks, placement }: DualRealShape): string[] {
  return Array.from({ length: blocks }, (_, block) =>
    sitesOf(placement).map((site) => `transformer_blocks.${block}.${adapterName('motion', site)}`),
  ).flat();
}

function requireCondition(shape: DualRealShape, reference: HostTensor): void {
  if (shape.form === 'fused' || shape.conditionDim === 0) {
    throw new FoldError({
      where: 'condition folding',
      expected: 'motion adapters with a condition (condition_linear)',
      got: 'adapters without',
      hint: 'the condition of these adapters is already folded: start from the file before that',
    });
  }
  const extent = reference.shape.at(-1);
  if (extent !== shape.conditionDim || sizeOf(reference.shape) !== extent) {
    throw new ShapeError({
      where: 'reference embedding',
      expected: `one embedding of ${shape.conditionDim} elements`,
      got: formatShape(reference.shape),
      hint: 'use the image encoder that the adapters were trained with',
    });
  }
  const values = asFloats(reference).data;
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad < 0) return;
  throw new FoldError({ where: 'reference embedding', expected: 'finite values', got: `${values[bad]}` });
}

function requireFusable(shape: DualRealShape, options: DualRealOptions): void {
  const where = 'one-skip export';
  if (shape.form === 'fused') {
    throw new FoldError({ where, expected: 'the two adapters of each site', got: 'fused ones already' });
  }
  if (shape.conditionDim > 0) {
    throw new FoldError({
      where,
      expected: 'adapters without condition',
      got: 'motion adapters with condition_linear',
      hint: 'fold the condition of a reference image first',
    });
  }
  if (options.geluPlacement !== 'between') {
    throw new FoldError({
      where,
      expected: 'GELU between the projections, so that the two sums can share them',
      got: 'GELU outside both (option geluPlacement)',
      hint: 'fold the condition only',
    });
  }
}

/** matrix [R, C] · vector + bias, in f64. */
function affine(matrix: FloatTensor, vector: ArrayLike<number>, bias: FloatTensor): Float64Array {
  const [rows, columns] = matrix.shape;
  const out = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    let sum = bias.data[row];
    for (let column = 0; column < columns; column++)
      sum += matrix.data[row * columns + column] * vector[column];
    out[row] = sum;
  }
  return out;
}

function scaleColumns(matrix: FloatTensor, factors: Float64Array): FloatTensor {
  const columns = factors.length;
  return floats(
    matrix.shape,
    matrix.data.map((value, i) => value * factors[i % columns]),
  );
}

function stackRows(parts: readonly FloatTensor[], shape: readonly number[]): FloatTensor {
  const data = new Float32Array(sizeOf(shape));
  let position = 0;
  for (const part of parts) {
    data.set(part.data, position);
    position += part.data.length;
  }
  return floats(shape, data);
}

/** [D, b] and [D, b] → [D, 2b]. */
function joinColumns([left, right]: readonly FloatTensor[]): FloatTensor {
  const [rows, columns] = left.shape;
  const data = new Float32Array(2 * rows * columns);
  for (let row = 0; row < rows; row++) {
    const from = row * columns;
    data.set(left.data.subarray(from, from + columns), 2 * from);
    data.set(right.data.subarray(from, from + columns), 2 * from + columns);
  }
  return floats([rows, 2 * columns], data);
}
