import { floats, type HostTensor, hostTensor, integers } from '../tensor/host-tensor.ts';
import { type RandomStream, randomStream } from '../tensor/random.ts';
import { type Shape, sizeOf } from '../tensor/shape.ts';
import type { NdArray } from './reference.cases.ts';
import { input, type Value } from './value.ts';

/** A program input of a sample, with the numbers it is fed; the numbers also feed the reference. */
export interface SampledLeaf extends NdArray {
  readonly value: Value;
  readonly name: string;
  readonly tensor: HostTensor;
  /** Whether gradients with respect to it are tested. */
  readonly differentiable: boolean;
}

/** One random instance of an op with what it should compute. */
export interface OpSample {
  readonly outputs: readonly { readonly value: Value; readonly expected: NdArray }[];
  /** Largest allowed |y − expected| relative to max(1, |expected|); default {@link FORWARD_TOLERANCE}. */
  readonly tolerance?: number;
}

/** f32 has 6e-8 of relative rounding; sums of some tens of terms and MLAS's exp and erf stay below this. */
export const FORWARD_TOLERANCE = 3e-6;

/**
 * Sample generators by op name. Every op needs one (src/graph/ops/gradients.test.ts fails otherwise): put it
 * into `<file>.cases.ts` beside the op, as a property of an exported `cases`.
 */
export type OpCases = Readonly<Record<string, (sampler: Sampler) => OpSample>>;

export interface FloatsOptions {
  /** Uniform values in [low, high); default [−2, 2). */
  readonly low?: number;
  readonly high?: number;
  /** Not differentiated (tables, masks, dependencies). */
  readonly fixed?: boolean;
  /** Values nearer than this to a point of `kinks` are moved away from it; default 0.2. */
  readonly margin?: number;
  readonly kinks?: readonly number[];
}

/** Draws shapes and operands for one sample, and remembers the operands. */
export class Sampler {
  readonly leaves: SampledLeaf[] = [];
  readonly random: RandomStream;
  /** Which of an op's samples this is: generators may walk through variants with it. */
  readonly index: number;
  readonly #prefix: string;

  constructor(op: string, index: number) {
    this.random = randomStream(20_250_101, 'op sample', op, index);
    this.index = index;
    this.#prefix = `${op}${index}`;
  }

  /** One of the options: the samples of an op walk through all of them in turn. */
  variant<T>(options: readonly T[], every = 1): T {
    return options[Math.floor(this.index / every) % options.length];
  }

  extent(most = 5): number {
    return 1 + this.random.integer(most);
  }

  shape(rank: number, most = 5): number[] {
    return Array.from({ length: rank }, () => this.extent(most));
  }

  floats(shape: Shape, options: FloatsOptions = {}): SampledLeaf {
    const { low = -2, high = 2, fixed = false, margin = 0.2, kinks = [] } = options;
    const values = Float32Array.from({ length: sizeOf(shape) }, () => {
      const value = low + (high - low) * this.random.uniform();
      const kink = kinks.find((point) => Math.abs(value - point) < margin);
      return kink === undefined ? value : kink + (value < kink ? -margin : margin);
    });
    return this.#leaf(floats(shape, values), !fixed);
  }

  /** Values no two of which are nearer than `gap`, so that no perturbation changes their order. */
  distinct(shape: Shape, gap = 0.2): SampledLeaf {
    const count = sizeOf(shape);
    const order = this.random.permutation(count);
    return this.#leaf(
      floats(
        shape,
        Float32Array.from(order, (rank) => (rank - (count >> 1)) * gap),
      ),
      true,
    );
  }

  /** Given values that are not differentiated, such as tables of angles. */
  fixed({ shape, data }: NdArray): SampledLeaf {
    return this.#leaf(floats(shape, data), false);
  }

  indices(shape: Shape, bound: number): SampledLeaf {
    const values = Array.from({ length: sizeOf(shape) }, () => this.random.integer(bound));
    return this.#leaf(integers(shape, values), false);
  }

  booleans(shape: Shape): SampledLeaf {
    const values = Uint8Array.from({ length: sizeOf(shape) }, () => this.random.integer(2));
    return this.#leaf(hostTensor('bool', shape, values), false);
  }

  /** Shapes that broadcast with each other: leading axes left out and extents of 1, at random. */
  broadcastShapes(count: number, most = 5): number[][] {
    const whole = this.shape(this.random.integer(5), most);
    return Array.from({ length: count }, () =>
      whole
        .map((extent) => (this.random.integer(3) === 0 ? 1 : extent))
        .slice(this.random.integer(3) === 0 ? this.random.integer(whole.length + 1) : 0),
    );
  }

  #leaf(tensor: HostTensor, differentiable: boolean): SampledLeaf {
    const name = `${this.#prefix}.x${this.leaves.length}`;
    const data = Float64Array.from(tensor.data as ArrayLike<number | bigint>, Number);
    const { shape } = tensor;
    const leaf = { value: input(name, shape, tensor.dtype), name, tensor, differentiable, shape, data };
    this.leaves.push(leaf);
    return leaf;
  }
}

/** A sample with one output. */
export function oneOutput(value: Value, expected: NdArray, tolerance?: number): OpSample {
  return { outputs: [{ value, expected }], ...(tolerance && { tolerance }) };
}
