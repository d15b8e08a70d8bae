import { floats } from '../../tensor/host-tensor.ts';
import { type Shape, sizeOf } from '../../tensor/shape.ts';
import type { OnnxEmitter } from '../onnx-emitter.ts';

/** The spatial geometry of a convolution; padding is zeros [top, left, bottom, right]. */
export interface Window {
  readonly stride: number;
  readonly padding: readonly [number, number, number, number];
}

/** Weights in ONNX as [out, in, taps, kh, kw]. */
export interface NamedWeight {
  readonly name: string;
  readonly shape: Shape;
}

/**
 * How images and weights are laid out for ONNX convolutions. Names in and out of `convolve` are in the
 * form's own layout; sums of such tensors are elementwise in any layout.
 */
export interface ConvolutionForm {
  enter(image: string): string;
  /** Names the result `name`; images leave as [B, out, H, W]. */
  leave(image: string, name: string): void;
  /** The weights of every temporal tap, in the form's layout. */
  weights(weight: NamedWeight, direction: Direction): readonly string[];
  convolve(image: string, weight: string, operands: { bias?: string | undefined; sum?: string }): string;
}

/** 'adjoint' exchanges inputs and outputs and turns the kernel by 180°. */
export type Direction = 'forward' | 'adjoint';

export interface Channels {
  readonly from: number;
  readonly to: number;
}

/** Node writers that both forms and the schedules use. */
export class Nodes {
  readonly #emitter: OnnxEmitter;

  constructor(emitter: OnnxEmitter) {
    this.#emitter = emitter;
  }

  reshape(x: string, shape: Shape): string {
    return this.#emitter.node('Reshape', [x, this.#emitter.integers(shape)], 1)[0];
  }

  transpose(x: string, order: readonly number[]): string {
    return this.#emitter.node('Transpose', [x], 1, { perm: order })[0];
  }

  slice(x: string, axis: number, start: number, stop: number): string {
    const { integers, node } = bound(this.#emitter);
    return node('Slice', [x, integers([start]), integers([stop]), integers([axis])], 1)[0];
  }

  /** The axis in reverse. */
  reverse(x: string, axis: number): string {
    const { integers, node } = bound(this.#emitter);
    const beforeFirst = -(2 ** 31);
    return node(
      'Slice',
      [x, integers([-1]), integers([beforeFirst]), integers([axis]), integers([-1])],
      1,
    )[0];
  }

  /** Zeros around an array; negative amounts cut. */
  pad(x: string, before: readonly number[], after: readonly number[]): string {
    if ([...before, ...after].every((amount) => amount === 0)) return x;
    return this.#emitter.node('Pad', [x, this.#emitter.integers([...before, ...after])], 1)[0];
  }

  concat(parts: readonly string[], axis: number): string {
    return parts.length === 1 ? parts[0] : this.#emitter.node('Concat', parts, 1, { axis })[0];
  }

  add(a: string, b: string): string {
    return this.#emitter.node('Add', [a, b], 1)[0];
  }

  sub(a: string, b: string): string {
    return this.#emitter.node('Sub', [a, b], 1)[0];
  }

  half(x: string): string {
    return this.#emitter.node('Mul', [x, this.#emitter.scalar(0.5)], 1)[0];
  }

  /** Gives `x` another name; an Identity that onnxruntime removes. */
  rename(x: string, name: string): void {
    this.#emitter.node('Identity', [x], [name]);
  }

  zeros(shape: Shape): string {
    return this.#emitter.constant(floats(shape, new Float32Array(sizeOf(shape))));
  }
}

function bound(emitter: OnnxEmitter) {
  return {
    integers: (values: readonly number[]) => emitter.integers(values),
    node: (...args: Parameters<OnnxEmitter['node']>) => emitter.node(...args),
  };
}
