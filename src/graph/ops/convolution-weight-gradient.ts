import type { Shape } from '../../tensor/shape.ts';
import type { OnnxEmitter } from '../onnx-emitter.ts';
import { BLOCKED_DOMAIN, enterBlocks, fillsBlocks, roundUp } from './convolution-blocked.ts';
import { Nodes, type Window } from './convolution-form.ts';
import { schedule, type Term } from './convolution-schedule.ts';

export interface WeightGradientRequest {
  readonly images: readonly string[];
  /** [B, in, H, W] of each image. */
  readonly imageShape: Shape;
  /** Gradients of the results, one per entry of `terms`. */
  readonly gradients: readonly string[];
  /** [B, out, H′, W′] of each gradient. */
  readonly gradientShape: Shape;
  readonly terms: readonly (readonly Term[])[];
  readonly window: Window;
  /** [out, in, taps, kh, kw], or without the taps. */
  readonly weightShape: Shape;
  readonly result: string;
}

/** How the sum over positions Σ gradient·shifted image is computed for one pair of frames. */
interface Correlation {
  enterImage(image: string): string;
  enterGradient(gradient: string): string;
  /** Adds the correlation of one pair of frames to `sum`, in a layout of its own. */
  add(image: string, gradient: string, sum: string | undefined): string;
  /** [out, in, kh, kw], or [in, out, kh, kw] where not `outFirst`. */
  leave(sum: string): string;
  readonly outFirst: boolean;
}

/** Writes dW[o, c, k, y, x] = Σ gradient[o, h, w] · image[c, h·stride + y, w·stride + x] over the terms of tap k. */
export function emitWeightGradient(emitter: OnnxEmitter, request: WeightGradientRequest): void {
  const { images, gradients, terms, weightShape } = request;
  const [out, inner] = weightShape;
  const taps = weightShape.length === 5 ? weightShape[2] : 1;
  const kernel = weightShape.slice(-2);
  const nodes = new Nodes(emitter);
  const correlation =
    blockedCorrelation(emitter, request, kernel) ?? productCorrelation(emitter, request, kernel);
  const entered = new Map<string, string>();
  const enter = (name: string, how: (name: string) => string) => {
    const known = entered.get(name);
    if (known !== undefined) return known;
    const fresh = how(name);
    entered.set(name, fresh);
    return fresh;
  };
  const sums = new Map<number | 'p0' | 'p1' | 'p2' | 'p3', string>();
  const accumulate = (target: number | 'p0' | 'p1' | 'p2' | 'p3', image: string, gradient: string) => {
    sums.set(target, correlation.add(image, gradient, sums.get(target)));
  };
  const imageOf = (index: number) => enter(images[index], correlation.enterImage);
  const gradientOf = (index: number) => enter(gradients[index], correlation.enterGradient);

  const direct: { input: number; tap: number; output: number }[] = [];
  for (const step of schedule(terms)) {
    if (step.kind === 'direct') {
      const { output } = step;
      for (const { input, taps: seen } of step.terms)
        for (const tap of seen) direct.push({ input, tap, output });
      continue;
    }
    const [d0, d1, d2, d3] = step.inputs.map(imageOf);
    const [e0, e1] = [gradientOf(step.first), gradientOf(step.second)];
    accumulate('p0', nodes.sub(d0, d2), e0);
    accumulate('p1', nodes.add(d1, d2), nodes.add(e0, e1));
    accumulate('p2', nodes.sub(d2, d1), nodes.sub(e0, e1));
    accumulate('p3', nodes.sub(d3, d1), e1);
  }
  for (const { input, tap, outputs } of joined(direct)) {
    accumulate(
      tap,
      imageOf(input),
      outputs.map(gradientOf).reduce((a, b) => nodes.add(a, b)),
    );
  }
  const leave = (key: number | 'p0' | 'p1' | 'p2' | 'p3') => {
    const sum = sums.get(key);
    return sum === undefined ? undefined : correlation.leave(sum);
  };
  const { outFirst } = correlation;
  const part = outFirst ? [out, inner, ...kernel] : [inner, out, ...kernel];
  const paired = sums.has('p0');
  const [p0, p1, p2, p3] = (['p0', 'p1', 'p2', 'p3'] as const).map(leave);
  const even = paired ? nodes.half(nodes.add(p1!, p2!)) : undefined;
  const odd = paired ? nodes.half(nodes.sub(p1!, p2!)) : undefined;
  const parts = Array.from({ length: taps }, (_, tap) => {
    const fromPairs = paired ? [[p0!, even!], [odd!], [p3!, even!]][tap] : [];
    const summands = [leave(tap), ...fromPairs].filter((summand) => summand !== undefined);
    return summands.length === 0 ? nodes.zeros(part) : summands.reduce((a, b) => nodes.add(a, b));
  });
  const all =
    weightShape.length === 4
      ? parts[0]
      : nodes.concat(
          parts.map((each) => nodes.reshape(each, [...part.slice(0, 2), 1, ...kernel])),
          2,
        );
  if (outFirst) {
    nodes.rename(all, request.result);
    return;
  }
  // Last of all: onnxruntime moves transpositions behind what follows, as nodes that its order meets first,
  // and would then keep every gradient's operands until the end.
  const order = [1, 0, ...weightShape.slice(2).map((_, i) => i + 2)];
  emitter.node('Transpose', [all], [request.result], { perm: order });
}

/** Gradients that meet the same image at the same tap are summed before they are correlated with it. */
function joined(direct: readonly { input: number; tap: number; output: number }[]) {
  const groups = new Map<string, { input: number; tap: number; outputs: number[] }>();
  for (const { input, tap, output } of direct) {
    const key = `${input},${tap}`;
    const group = groups.get(key);
    if (group) group.outputs.push(output);
    else groups.set(key, { input, tap, outputs: [output] });
  }
  return groups.values();
}

/** Gradients of one chunk of a correlation stay within a core's second-level cache. */
const CHUNK_BYTES = 512 * 1024;

/**
 * The correlation as a convolution whose kernel is the gradient itself (all of it), whose images are the
 * input's channels and whose input channels are the clips of the batch: [in, B, H, W] ∗ [out, B, H′, W′] →
 * [in, out, kh, kw]. Needs whole blocks of gradient channels, or of image channels with the roles exchanged.
 */
function blockedCorrelation(
  emitter: OnnxEmitter,
  { imageShape, gradientShape, window: { stride, padding } }: WeightGradientRequest,
  [kh, kw]: Shape,
): Correlation | undefined {
  const block = emitter.target.blockedChannels;
  if (block === undefined) return undefined;
  const nodes = new Nodes(emitter);
  const exchanged = !fillsBlocks(gradientShape[1], block);
  const kernelShape = exchanged ? imageShape : gradientShape;
  const slidingShape = exchanged ? gradientShape : imageShape;
  if (!fillsBlocks(kernelShape[1], block) || (exchanged && stride !== 1)) return undefined;
  const [batch, channels, rows, columns] = kernelShape;
  const width = roundUp(channels, block);
  const sliding = slidingShape[1];
  // The sliding image is padded, or cut, so that the kernel fits kh × kw times.
  const before = exchanged ? [kh - 1 - padding[0], kw - 1 - padding[1]] : [padding[0], padding[1]];
  const extents = [(rows - 1) * stride + kh, (columns - 1) * stride + kw];
  const after = extents.map((extent, i) => extent - slidingShape[2 + i] - before[i]);
  const enterKernel = (image: string) => enterBlocks(emitter, image, channels, block);
  const enterSliding = (image: string) => nodes.pad(image, [0, 0, ...before], [0, 0, ...after]);

  const clipBytes = 4 * width * rows * columns;
  const clips = Math.max(1, Math.min(batch, block - 1, Math.floor(CHUNK_BYTES / clipBytes)));
  const chunkRows = Math.max(Math.min(rows, 8), Math.min(rows, Math.floor(CHUNK_BYTES / (clipBytes / rows))));
  return {
    outFirst: exchanged,
    enterImage: exchanged ? enterKernel : enterSliding,
    enterGradient: exchanged ? enterSliding : enterKernel,
    add: (image, gradient, start) => {
      const [kernel, moving] = exchanged ? [image, gradient] : [gradient, image];
      let sum = start;
      for (let clip = 0; clip < batch; clip += clips) {
        const taken = Math.min(clips, batch - clip);
        const cut = (x: string) => (batch === taken ? x : nodes.slice(x, 0, clip, clip + taken));
        const swap = (x: string, shape: Shape) =>
          taken === 1
            ? nodes.reshape(x, shape)
            : nodes.reshape(nodes.transpose(nodes.reshape(x, [taken, shape[0], -1]), [1, 0, 2]), shape);
        const kernels = swap(cut(kernel), [width / block, taken, rows, columns * block]);
        const images = swap(cut(moving), [sliding, taken, ...extents]);
        for (let row = 0; row < rows; row += chunkRows) {
          const count = Math.min(chunkRows, rows - row);
          const part = count === rows ? kernels : nodes.slice(kernels, 2, row, row + count);
          const start = row * stride;
          const seen =
            count === rows ? images : nodes.slice(images, 2, start, start + (count - 1) * stride + kh);
          const operands = [seen, nodes.reshape(part, [width, taken, count, columns])];
          if (sum !== undefined) operands.push(nodes.zeros([width]), sum);
          const attributes = {
            kernel_shape: [count, columns],
            dilations: [stride, stride],
            strides: [1, 1],
            pads: [0, 0, 0, 0],
            group: 1,
          };
          sum = emitter.node('Conv', operands, 1, attributes, BLOCKED_DOMAIN)[0];
        }
      }
      return sum!;
    },
    leave: (sum) => {
      const [plain] = emitter.node('ReorderOutput', [sum], 1, { channels }, BLOCKED_DOMAIN);
      if (!exchanged) return plain;
      // The shifts are counted from the other end.
      const reversed = nodes.reverse(nodes.reshape(plain, [sliding, channels, kh * kw]), 2);
      return nodes.reshape(reversed, [sliding, channels, kh, kw]);
    },
  };
}

/** The correlation as one product per kernel position, of gradient and shifted image. */
function productCorrelation(
  emitter: OnnxEmitter,
  { imageShape, gradientShape, window: { stride, padding } }: WeightGradientRequest,
  [kh, kw]: Shape,
): Correlation {
  const nodes = new Nodes(emitter);
  const [batch, inner] = imageShape;
  const [, out, rows, columns] = gradientShape;
  const extents = [(rows - 1) * stride + kh, (columns - 1) * stride + kw];
  const after = extents.map((extent, i) => extent - imageShape[2 + i] - padding[i]);
  const shifted = (image: string, y: number, x: number) => {
    const { integers, node } = {
      integers: (values: readonly number[]) => emitter.integers(values),
      node: (...args: Parameters<OnnxEmitter['node']>) => emitter.node(...args),
    };
    const ends = [y + (rows - 1) * stride + 1, x + (columns - 1) * stride + 1];
    const window = [integers([y, x]), integers(ends), integers([2, 3]), integers([stride, stride])];
    const [cut] = node('Slice', [image, ...window], 1);
    return nodes.transpose(nodes.reshape(cut, [batch, inner, rows * columns]), [0, 2, 1]);
  };
  return {
    outFirst: true,
    enterImage: (image) => nodes.pad(image, [0, 0, padding[0], padding[1]], [0, 0, ...after]),
    enterGradient: (gradient) => nodes.reshape(gradient, [batch, out, rows * columns]),
    add: (image, gradient, start) => {
      const products: string[] = [];
      for (let y = 0; y < kh; y++) {
        for (let x = 0; x < kw; x++) {
          const [product] = emitter.node('MatMul', [gradient, shifted(image, y, x)], 1);
          products.push(nodes.reshape(product, [batch, out, inner, 1]));
        }
      }
      const all = nodes.concat(products, 3); // [B, out, in, kh·kw]
      return start === undefined ? all : nodes.add(all, start);
    },
    leave: (sum) => {
      const [total] = emitter.node('ReduceSum', [sum, emitter.integers([0])], 1, { keepdims: 0 });
      return nodes.reshape(total, [out, inner, kh, kw]);
    },
  };
}
