import { ShapeError } from '../../tensor/errors.ts';
import { formatShape, type Shape, sameShape } from '../../tensor/shape.ts';
import type { OnnxEmitter } from '../onnx-emitter.ts';
import { apply, applyAll, defineOp, requireShape, type Value, type ValueType } from '../value.ts';
import { emitConvolutions } from './convolution-emit.ts';
import { type NamedWeight, Nodes, type Window } from './convolution-form.ts';
import type { Term } from './convolution-schedule.ts';
import { emitWeightGradient } from './convolution-weight-gradient.ts';
import { add } from './elementwise.ts';
import { sum } from './reduce.ts';

/** taps[f][k]: the input frame that the kernel's tap k sees for output frame f; −1: none (zeros). */
export type FrameTaps = readonly (readonly number[])[];

interface FramesAttributes extends Window {
  readonly taps: FrameTaps;
}

interface AdjointAttributes extends Window {
  /** terms[i]: [gradient, tap] pairs that reach input i. */
  readonly terms: readonly (readonly (readonly [number, number])[])[];
  /** [H, W] of the inputs. */
  readonly extent: readonly [number, number];
}

interface WeightAttributes extends FramesAttributes {
  readonly images: number;
  readonly weightShape: Shape;
}

function resultExtent(
  { stride, padding }: Window,
  [height, width]: Shape,
  [kh, kw]: Shape,
): [number, number] {
  const [top, left, bottom, right] = padding;
  return [
    Math.floor((height + top + bottom - kh) / stride) + 1,
    Math.floor((width + left + right - kw) / stride) + 1,
  ];
}

function termsOf(taps: FrameTaps): Term[][] {
  return taps.map((row) => row.flatMap((input, tap) => (input < 0 ? [] : [{ input, tap }])));
}

/** The weight with an axis for the taps. */
function named(emitter: OnnxEmitter, name: string, { shape }: ValueType): NamedWeight {
  if (shape.length === 5) return { name, shape };
  const whole = [shape[0], shape[1], 1, shape[2], shape[3]];
  return { name: new Nodes(emitter).reshape(name, whole), shape: whole };
}

const framesOp = defineOp<FramesAttributes>({
  name: 'convolveFrames',
  infer: (operands, attributes) => {
    const { taps, padding } = attributes;
    const images = Math.max(...taps.flat()) + 1;
    const [first] = operands;
    const weight = operands[images];
    const bias = operands[images + 1];
    const alike = operands.slice(0, images).every((image) => sameShape(image.shape, first.shape));
    requireShape(
      alike && first.shape.length === 4,
      'convolveFrames',
      'images [B, C, H, W] alike',
      ...operands,
    );
    const kernel = weight.shape.slice(-2);
    const kernelTaps = weight.shape.length === 5 ? weight.shape[2] : 1;
    const fits =
      (weight.shape.length === 4 || weight.shape.length === 5) &&
      weight.shape[1] === first.shape[1] &&
      taps.every((row) => row.length === kernelTaps && row.some((input) => input >= 0)) &&
      padding.every((amount, side) => amount >= 0 && amount < kernel[side % 2]);
    requireShape(fits, 'convolveFrames', 'a weight [O, C, (K,) kh, kw] that fits', first, weight);
    requireShape(!bias || sameShape(bias.shape, [weight.shape[0]]), 'convolveFrames', 'a bias [O]', weight);
    const [height, width] = resultExtent(attributes, first.shape.slice(2), kernel);
    requireShape(
      height > 0 && width > 0,
      'convolveFrames',
      'images no smaller than the kernel',
      first,
      weight,
    );
    return taps.map(() => ({ dtype: first.dtype, shape: [first.shape[0], weight.shape[0], height, width] }));
  },
  backward: ({ inputs, gradients, attributes, needs }) => {
    const { taps, stride, padding } = attributes;
    const images = Math.max(...taps.flat()) + 1;
    const [weight, bias] = [inputs[images], inputs[images + 1]];
    const reached = gradients.flatMap((gradient, f) => (gradient ? [{ gradient, row: taps[f] }] : []));
    const dys = reached.map(({ gradient }) => gradient);
    const met = Array.from({ length: images }, (_, i) => i).filter((i) =>
      reached.some(({ row }) => row.includes(i)),
    );
    const results: (Value | undefined)[] = inputs.map(() => undefined);
    if (met.some((i) => needs[i])) {
      const terms = met.map((i) =>
        reached.flatMap(({ row }, f) =>
          row.flatMap((input, tap) => (input === i ? [[f, tap] as const] : [])),
        ),
      );
      const [height, width] = inputs[0].shape.slice(2);
      const found = applyAll(adjointOp, [...dys, weight], {
        terms,
        stride,
        padding,
        extent: [height, width],
      });
      for (const [n, i] of met.entries()) results[i] = found[n];
    }
    if (needs[images]) {
      const attributes = { taps: reached.map(({ row }) => row), stride, padding };
      const operands = [...inputs.slice(0, images), ...dys];
      results[images] = apply(weightOp, operands, { ...attributes, images, weightShape: weight.shape });
    }
    if (bias && needs[images + 1]) results[images + 1] = dys.map((dy) => sum(dy, [0, 2, 3])).reduce(add);
    return results;
  },
  emit: (emitter, { inputs, outputs, inputTypes, attributes }) => {
    const { taps, stride, padding } = attributes;
    const images = Math.max(...taps.flat()) + 1;
    emitConvolutions(emitter, {
      images: inputs.slice(0, images),
      weight: named(emitter, inputs[images], inputTypes[images]),
      direction: 'forward',
      bias: inputs[images + 1],
      window: { stride, padding },
      terms: termsOf(taps),
      results: outputs,
    });
  },
});

const adjointOp = defineOp<AdjointAttributes>({
  name: 'convolveFramesAdjoint',
  infer: (operands, { terms, extent }) => {
    const weight = operands[operands.length - 1];
    const shape = [operands[0].shape[0], weight.shape[1], ...extent];
    return terms.map(() => ({ dtype: weight.dtype, shape }));
  },
  emit: (emitter, { inputs, outputs, inputTypes, attributes }) => {
    const { terms, stride, padding, extent } = attributes;
    const last = inputs.length - 1;
    const [kh, kw] = inputTypes[last].shape.slice(-2);
    const [rows, columns] = inputTypes[0].shape.slice(2);
    const request = {
      images: inputs.slice(0, last),
      terms: terms.map((pairs) => pairs.map(([input, tap]) => ({ input, tap }))),
    };
    const weight = named(emitter, inputs[last], inputTypes[last]);
    if (stride === 1) {
      const [top, left] = [kh - 1 - padding[0], kw - 1 - padding[1]];
      const bottom = extent[0] + kh - 1 - rows - top;
      const right = extent[1] + kw - 1 - columns - left;
      const window = { stride: 1, padding: [top, left, bottom, right] as const };
      emitConvolutions(emitter, { ...request, weight, direction: 'adjoint', window, results: outputs });
      return;
    }
    // Position u = h + padding of the padded input is stride·a + r: for each remainder r this is a small
    // convolution over the gradients, and the remainders' results interleave.
    const nodes = new Nodes(emitter);
    const grid = [0, 1].map((axis) => Math.ceil((extent[axis] + padding[axis]) / stride));
    const small = [kh, kw].map((size) => Math.ceil(size / stride));
    const window = {
      stride: 1,
      padding: [small[0] - 1, small[1] - 1, grid[0] - rows, grid[1] - columns] as const,
    };
    const [from, to] = [weight.shape[0], weight.shape[1]];
    const phases = {
      name: phaseWeight(nodes, weight, small, stride),
      shape: [to * stride ** 2, from, weight.shape[2], ...small],
    };
    const whole = outputs.map((output) => (output === '' ? '' : `${output}_phases`));
    emitConvolutions(emitter, { ...request, weight: phases, direction: 'forward', window, results: whole });
    for (const [i, output] of outputs.entries()) {
      if (output === '') continue;
      const [image] = emitter.node('DepthToSpace', [whole[i]], 1, { blocksize: stride, mode: 'CRD' });
      const cut = [0, 1].map((axis) => padding[axis] + extent[axis] - grid[axis] * stride);
      const before = [0, 0, -padding[0], -padding[1]];
      nodes.rename(nodes.pad(image, before, [0, 0, ...cut]), output);
    }
  },
});

/** [O, C, K, kh, kw] → [C·stride², O, K, mh, mw]: for each remainder the kernel rows and columns that meet it. */
function phaseWeight(
  nodes: Nodes,
  { name, shape: [out, inner, taps, kh, kw] }: NamedWeight,
  [mh, mw]: Shape,
  stride: number,
): string {
  const padded = nodes.pad(name, [0, 0, 0, 0, 0], [0, 0, 0, mh * stride - kh, mw * stride - kw]);
  const apart = nodes.reshape(padded, [out, inner, taps, mh, stride, mw, stride]);
  const turned = nodes.transpose(apart, [1, 4, 6, 0, 2, 3, 5]); // [C, r, r, O, K, mh, mw]
  const area = nodes.reshape(turned, [inner * stride ** 2, out, taps, mh * mw]);
  return nodes.reshape(nodes.reverse(area, 3), [inner * stride ** 2, out, taps, mh, mw]);
}

const weightOp = defineOp<WeightAttributes>({
  name: 'convolveFramesWeight',
  infer: ([image], { weightShape }) => [{ dtype: image.dtype, shape: weightShape }],
  emit: (emitter, { inputs, outputs, inputTypes, attributes }) => {
    const { images, taps, stride, padding, weightShape } = attributes;
    emitWeightGradient(emitter, {
      images: inputs.slice(0, images),
      imageShape: inputTypes[0].shape,
      gradients: inputs.slice(images),
      gradientShape: inputTypes[images].shape,
      terms: termsOf(taps),
      window: { stride, padding },
      weightShape,
      result: outputs[0],
    });
  },
});

export interface ConvolutionOptions {
  readonly bias?: Value | undefined;
  /** Default 1. */
  readonly stride?: number;
  /** Zeros on every side, or [top, left, bottom, right]; default 0. */
  readonly padding?: number | readonly [number, number, number, number];
}

function windowOf({ stride = 1, padding = 0 }: ConvolutionOptions): Window {
  return { stride, padding: typeof padding === 'number' ? [padding, padding, padding, padding] : padding };
}

/** x [B, C, H, W] with weight [O, C, kh, kw] → [B, O, H′, W′]. */
export function conv2d(x: Value, weight: Value, options: ConvolutionOptions = {}): Value {
  return convolveFrames([x], weight, [[0]], options)[0];
}

/**
 * A convolution over time and space of a clip that is given as separate frames [B, C, H, W], with weight
 * [O, C, K, kh, kw] (or [O, C, kh, kw] for K = 1): result frame f is Σₖ of the 2D convolution of frame
 * frames[taps[f][k]] with weight[:, :, k]; −1 leaves a tap out. Frames that are one value are seen as one,
 * so repeated frames cost nothing; results that see the same frames are one value.
 */
export function convolveFrames(
  frames: readonly Value[],
  weight: Value,
  taps: FrameTaps,
  options: ConvolutionOptions = {},
): readonly Value[] {
  const used = [
    ...new Set(
      taps
        .flat()
        .filter((i) => i >= 0)
        .map((i) => frames[i]),
    ),
  ];
  if (used.length === 0 || used.includes(undefined as never)) {
    throw new ShapeError({
      where: 'op convolveFrames',
      expected: `taps between −1 and ${frames.length - 1}`,
      got: formatShape(taps.flat()),
    });
  }
  const seen = taps.map((row) => row.map((i) => (i < 0 ? -1 : used.indexOf(frames[i]))));
  const keys = seen.map((row) => row.join());
  const distinct = [...new Set(keys)];
  const operands = options.bias ? [...used, weight, options.bias] : [...used, weight];
  const attributes = { taps: distinct.map((key) => seen[keys.indexOf(key)]), ...windowOf(options) };
  const results = applyAll(framesOp, operands, attributes);
  return keys.map((key) => results[distinct.indexOf(key)]);
}
