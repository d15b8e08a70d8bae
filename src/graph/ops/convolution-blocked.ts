import type { Shape } from '../../tensor/shape.ts';
import type { OnnxEmitter } from '../onnx-emitter.ts';
import type { Channels, ConvolutionForm, Direction, NamedWeight, Window } from './convolution-form.ts';
import { Nodes } from './convolution-form.ts';

/** onnxruntime's own domain for its blocked layout, [B, C/block, H, W, block] ("NCHWc"). */
export const BLOCKED_DOMAIN = 'com.microsoft.nchwc';

export function roundUp(channels: number, block: number): number {
  return Math.ceil(channels / block) * block;
}

/** Channels that onnxruntime lays out in blocks must be multiples of this; it fills the last block with zeros. */
const CHANNEL_ALIGNMENT = 4;

export function fillsBlocks(channels: number, block: number): boolean {
  return channels >= block && channels % CHANNEL_ALIGNMENT === 0;
}

/** What onnxruntime's blocked convolution accepts as input: blocks, or a plain image of few channels. */
export function fitsBlocks(channels: number, block: number): boolean {
  return channels < block || fillsBlocks(channels, block);
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
    weights: (weight, direction) => blockedWeights(emitter, weight, direction, block),
    convolve: (image, weight, { bias, sum }) => {
      const operands = [image, weight];
      if (bias !== undefined) operands.push(nodes.pad(bias, [0], [width - to]));
      else if (sum !== undefined) operands.push(nodes.zeros([width]));
      if (sum !== undefined) operands.push(sum);
      return emitter.node('Conv', operands, 1, attributes, BLOCKED_DOMAIN)[0];
    },
  };
}

/**
 * [out, in, taps, kh, kw] → per tap [out/b, in/b, kh·kw, b in, b out], or [out/b, in, kh·kw, b out] for few
 * inputs, as an array of shape [out, in, kh, kw]. The reordering of images moves the outputs inside; a
 * transposition that did everything would take four times as long, at every step of a training.
 */
function blockedWeights(
  emitter: OnnxEmitter,
  { name, shape: [out, inner, taps, kh, kw] }: NamedWeight,
  direction: Direction,
  block: number,
): readonly string[] {
  const nodes = new Nodes(emitter);
  const area = kh * kw;
  const [few, to] = direction === 'forward' ? [inner, out] : [out, inner];
  const width = roundUp(to, block);
  const from = few < block ? few : roundUp(few, block);
  const fromBlocks = few < block ? undefined : from / block;
  const extra = direction === 'forward' ? [width - out, from - inner] : [from - out, width - inner];
  const padded = nodes.pad(name, [0, 0, 0, 0, 0], [...extra, 0, 0, 0]);
  /** Rows of `length` elements, one per output → [out/b, length, b out]. */
  const outputsInside = (rows: string, length: number) =>
    enterBlocks(emitter, nodes.reshape(rows, [1, width, length, 1]), width, block);
  const whole = (tap: string) => nodes.reshape(tap, [width, from, kh, kw]);
  const perTap = (all: string, axis: number) =>
    Array.from({ length: taps }, (_, tap) => whole(taps === 1 ? all : nodes.slice(all, axis, tap, tap + 1)));

  if (direction === 'forward') {
    const rows =
      fromBlocks === undefined
        ? padded
        : nodes.transpose(nodes.reshape(padded, [width, fromBlocks, block, taps * area]), [0, 1, 3, 2]);
    const inside = outputsInside(rows, from * taps * area);
    return perTap(nodes.reshape(inside, [width / block, fromBlocks ?? from, taps, -1]), 2);
  }
  if (fromBlocks === undefined) {
    const rows = nodes.transpose(nodes.reshape(padded, [from, width, taps * area]), [1, 0, 2]);
    const inside = outputsInside(rows, from * taps * area);
    const apart = nodes.reshape(inside, [width / block, from, taps, area, block]);
    return perTap(nodes.reverse(apart, 3), 2);
  }
  const rows = nodes.transpose(nodes.reshape(padded, [from, width * taps * area]), [1, 0]);
  const inside = outputsInside(rows, taps * area * from);
  const apart = nodes.reshape(inside, [width / block, taps, area, fromBlocks, block * block]);
  const turned = nodes.transpose(apart, [1, 0, 3, 2, 4]); // [taps, out/b, in/b, kh·kw, b·b]
  return perTap(nodes.reverse(turned, 3), 0);
}
