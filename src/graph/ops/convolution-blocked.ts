import type { Shape } from '../../tensor/shape.ts';
import type { OnnxEmitter } from '../onnx-emitter.ts';
import type { Channels, ConvolutionForm, NamedWeight, Window } from './convolution-form.ts';
import { Nodes } from './convolution-form.ts';

/** onnxruntime's own domain for its blocked layout, [B, C/block, H, W, block] ("NCHWc"). */
export const BLOCKED_DOMAIN = 'com.microsoft.nchwc';

export function roundUp(channels: number, block: number): number {
  return Math.ceil(channels / block) * block;
}

/** What onnxruntime's blocked convolution accepts as input: whole blocks, or a plain image of few channels. */
export function fitsBlocks(channels: number, block: number): boolean {
  return channels < block || channels % block === 0;
}

/** An image [B, C, H, W] in blocks; fewer channels than a block stay as they are. */
export function enterBlocks(emitter: OnnxEmitter, image: string, channels: number, block: number): string {
  if (channels < block) return image;
  return emitter.node('ReorderInput', [image], 1, {}, BLOCKED_DOMAIN)[0];
}

/**
 * Convolutions in the channel-blocked layout of onnxruntime's CPU kernels. They are about 1.5 times as fast
 * as its plain ones, but onnxruntime chooses them by itself only for constant weights.
 */
export function blockedForm(
  emitter: OnnxEmitter,
  block: number,
  { from, to }: Channels,
  kernel: Shape,
  { stride, padding }: Window,
): ConvolutionForm {
  const nodes = new Nodes(emitter);
  const attributes = {
    kernel_shape: kernel,
    strides: [stride, stride],
    pads: padding,
    dilations: [1, 1],
    group: 1,
  };
  const width = roundUp(to, block);
  return {
    enter: (image) => enterBlocks(emitter, image, from, block),
    leave: (image, name) => {
      emitter.node('ReorderOutput', [image], [name], { channels: to }, BLOCKED_DOMAIN);
    },
    weights: (weight, direction) => blockedWeights(nodes, weight, direction, block),
    convolve: (image, weight, { bias, sum }) => {
      const operands = [image, weight];
      if (bias !== undefined) operands.push(nodes.pad(bias, [0], [width - to]));
      else if (sum !== undefined) operands.push(nodes.zeros([width]));
      if (sum !== undefined) operands.push(sum);
      return emitter.node('Conv', operands, 1, attributes, BLOCKED_DOMAIN)[0];
    },
  };
}

/** [out, in, taps, kh, kw] → per tap [out/b, in/b, kh, kw, b in, b out], or [out/b, in, kh, kw, b] for few inputs. */
function blockedWeights(
  nodes: Nodes,
  { name, shape: [out, inner, taps, kh, kw] }: NamedWeight,
  direction: 'forward' | 'adjoint',
  block: number,
): readonly string[] {
  const [from, to] = direction === 'forward' ? [inner, out] : [out, inner];
  const fromBlocks = from < block ? undefined : from / block;
  const toBlocks = roundUp(to, block) / block;
  const area = kh * kw;
  const extra = toBlocks * block - to;
  const split = (blocks: number | undefined) => (blocks === undefined ? [from] : [blocks, block]);
  let all: string;
  if (direction === 'forward') {
    const padded = nodes.pad(name, [0, 0, 0, 0, 0], [extra, 0, 0, 0, 0]);
    const apart = nodes.reshape(padded, [...split(toBlocks), ...split(fromBlocks), taps, area]);
    all = nodes.transpose(apart, fromBlocks === undefined ? [3, 0, 2, 4, 1] : [4, 0, 2, 5, 3, 1]);
  } else {
    const padded = nodes.pad(name, [0, 0, 0, 0, 0], [0, extra, 0, 0, 0]);
    const apart = nodes.reshape(padded, [...split(fromBlocks), ...split(toBlocks), taps, area]);
    const turned = nodes.transpose(apart, fromBlocks === undefined ? [3, 1, 0, 4, 2] : [4, 2, 0, 5, 1, 3]);
    all = nodes.reverse(turned, 3); // [taps, to/b, from/b, kh·kw reversed, b, b]
  }
  return Array.from({ length: taps }, (_, tap) =>
    nodes.reshape(taps === 1 ? all : nodes.slice(all, 0, tap, tap + 1), [toBlocks * block, from, kh, kw]),
  );
}
