import {
  assembleFunction,
  assembleModule,
  type Expression,
  f32x4,
  f64,
  f64x2,
  i32,
  memory,
  type Statement,
  type Variable,
  whileTrue,
} from './wasm-assembler.ts';
import { Instance, Module, type WasmMemory } from './web-assembly.ts';

/**
 * The optimizer's inner loops as WASM-SIMD over one memory. Every pointer is a byte address, every count a
 * number of f32 elements; no element outside [pointer, pointer + 4·count) is read or written, so padding
 * between tensors has no influence. Element i's result does not depend on the other elements nor on whether
 * it falls into the vector part or the tail.
 */
export interface OptimizerKernels {
  /** One AdamW step of `count` elements; see {@link AdamWCoefficients}. */
  adamw(
    parameter: number,
    gradient: number,
    firstMoment: number,
    secondMoment: number,
    count: number,
    ...coefficients: AdamWCoefficients
  ): void;
  /** Σ x² in f64, in one fixed order. Finite exactly where all elements are: squares of f32 fit f64. */
  sumOfSquares(pointer: number, count: number): number;
  /** average ← decay·average + complement·parameter. */
  movingAverage(average: number, parameter: number, count: number, decay: number, complement: number): void;
  zeroFill(pointer: number, sizeBytes: number): void;
}

/**
 * Rounded to f32 when they enter the kernel, as torch rounds a Python number that meets an f32 tensor:
 *
 *   g ← gradientScale·g
 *   p ← decay·p                                    decay = 1 − lr·weightDecay
 *   m ← beta1·m + oneMinusBeta1·g
 *   v ← beta2·v + oneMinusBeta2·g·g
 *   p ← p + (negativeStepSize·m) / (inverseCorrection·√v + epsilon)
 *
 * with negativeStepSize = −lr/(1 − β₁ᵗ) and inverseCorrection = 1/√(1 − β₂ᵗ). Torch divides by the square root
 * instead; multiplying differs in the last bit at most and saves a fifth of the kernel's time.
 */
export type AdamWCoefficients = readonly [
  gradientScale: number,
  decay: number,
  beta1: number,
  oneMinusBeta1: number,
  beta2: number,
  oneMinusBeta2: number,
  negativeStepSize: number,
  inverseCorrection: number,
  epsilon: number,
];

const FLOAT_BYTES = 4;
const VECTOR_BYTES = 16;
const VECTOR_LENGTH = 4;
const VECTORS_PER_ROUND = 4;

/** How a piece of a range is read and written: four elements at once, or one. */
interface Access {
  load(address: Expression<'i32'>, offsetBytes: number): Expression<'v128'>;
  store(address: Expression<'i32'>, offsetBytes: number, value: Expression<'v128'>): Statement;
}
const fourElements: Access = { load: memory.load, store: memory.store };
const oneElement: Access = { load: memory.loadOne, store: memory.storeOne };

/** A coefficient in all four lanes (the compiler keeps it in a register across the loop). */
const spread = (coefficient: Variable<'f32'>): Expression<'v128'> => f32x4.splat(coefficient.value);

/** Runs `piece` over `count` elements: unrolled vectors first, then the rest one by one. */
function overRange(
  count: Variable<'i32'>,
  pointers: readonly Variable<'i32'>[],
  piece: (access: Access, offsetBytes: number) => readonly Statement[],
): Statement[] {
  const rounds = (elements: number, body: readonly Statement[]): Statement =>
    whileTrue(i32.atLeast(count.value, i32.constant(elements)), [
      ...body,
      ...pointers.map((pointer) => pointer.set(i32.add(pointer.value, i32.constant(elements * FLOAT_BYTES)))),
      count.set(i32.subtract(count.value, i32.constant(elements))),
    ]);
  const unrolled = Array.from({ length: VECTORS_PER_ROUND }, (_, vector) =>
    piece(fourElements, vector * VECTOR_BYTES),
  );
  return [rounds(VECTORS_PER_ROUND * VECTOR_LENGTH, unrolled.flat()), rounds(1, piece(oneElement, 0))];
}

const adamw = assembleFunction(
  'adamw',
  {
    parameter: 'i32',
    gradient: 'i32',
    firstMoment: 'i32',
    secondMoment: 'i32',
    count: 'i32',
    gradientScale: 'f32',
    decay: 'f32',
    beta1: 'f32',
    oneMinusBeta1: 'f32',
    beta2: 'f32',
    oneMinusBeta2: 'f32',
    negativeStepSize: 'f32',
    inverseCorrection: 'f32',
    epsilon: 'f32',
  },
  { g: 'v128', m: 'v128', v: 'v128' },
  (of) => {
    const { g, m, v } = of;
    const { add, multiply, divide, squareRoot } = f32x4;
    const pointers = [of.parameter, of.gradient, of.firstMoment, of.secondMoment];
    const update = (access: Access, at: number): Statement[] => [
      g.set(multiply(spread(of.gradientScale), access.load(of.gradient.value, at))),
      m.set(
        add(
          multiply(spread(of.beta1), access.load(of.firstMoment.value, at)),
          multiply(spread(of.oneMinusBeta1), g.value),
        ),
      ),
      v.set(
        add(
          multiply(spread(of.beta2), access.load(of.secondMoment.value, at)),
          multiply(multiply(spread(of.oneMinusBeta2), g.value), g.value),
        ),
      ),
      access.store(of.firstMoment.value, at, m.value),
      access.store(of.secondMoment.value, at, v.value),
      access.store(
        of.parameter.value,
        at,
        add(
          multiply(spread(of.decay), access.load(of.parameter.value, at)),
          divide(
            multiply(spread(of.negativeStepSize), m.value),
            add(multiply(spread(of.inverseCorrection), squareRoot(v.value)), spread(of.epsilon)),
          ),
        ),
      ),
    ];
    return { body: overRange(of.count, pointers, update) };
  },
);

const sumOfSquares = assembleFunction(
  'sumOfSquares',
  { pointer: 'i32', count: 'i32' },
  { sum0: 'v128', sum1: 'v128', sum2: 'v128', sum3: 'v128', pair: 'v128' },
  (of) => {
    const { add, multiply, promoteLow, lane } = f64x2;
    const { pair } = of;
    const sums = [of.sum0, of.sum1, of.sum2, of.sum3];
    const addSquares = (sum: Variable<'v128'>, two: Expression<'v128'>): Statement[] => [
      pair.set(promoteLow(two)),
      sum.set(add(sum.value, multiply(pair.value, pair.value))),
    ];
    const accumulate = (access: Access, at: number): Statement[] => {
      // The tail's one element is in the lowest lane with zero beside it, so it adds nothing else.
      if (access === oneElement) return addSquares(of.sum0, access.load(of.pointer.value, at));
      const firstSum = (at / VECTOR_BYTES) % 2 === 0 ? 0 : 2;
      return [
        ...addSquares(sums[firstSum], memory.loadTwo(of.pointer.value, at)),
        ...addSquares(sums[firstSum + 1], memory.loadTwo(of.pointer.value, at + VECTOR_BYTES / 2)),
      ];
    };
    const total = add(add(of.sum0.value, of.sum1.value), add(of.sum2.value, of.sum3.value));
    return {
      body: [...overRange(of.count, [of.pointer], accumulate), of.sum0.set(total)],
      result: f64.add(lane(0, of.sum0.value), lane(1, of.sum0.value)),
    };
  },
);

const movingAverage = assembleFunction(
  'movingAverage',
  { average: 'i32', parameter: 'i32', count: 'i32', decay: 'f32', complement: 'f32' },
  {},
  (of) => {
    const update = (access: Access, at: number): Statement[] => [
      access.store(
        of.average.value,
        at,
        f32x4.add(
          f32x4.multiply(spread(of.decay), access.load(of.average.value, at)),
          f32x4.multiply(spread(of.complement), access.load(of.parameter.value, at)),
        ),
      ),
    ];
    return { body: overRange(of.count, [of.average, of.parameter], update) };
  },
);

const zeroFill = assembleFunction('zeroFill', { pointer: 'i32', sizeBytes: 'i32' }, {}, (of) => ({
  body: [memory.fill(of.pointer.value, i32.constant(0), of.sizeBytes.value)],
}));

/** The module's bytes, assembled when first asked for. */
export function assembleKernels(): Uint8Array<ArrayBuffer> {
  return assembleModule([adamw, sumOfSquares, movingAverage, zeroFill]);
}

let compiled: object | undefined;

/** The kernels over `arena`, all of which they can reach. */
export function instantiateKernels(arena: WasmMemory): OptimizerKernels {
  compiled ??= new Module(assembleKernels());
  const instance = new Instance(compiled, { arena: { memory: arena } });
  return instance.exports as unknown as OptimizerKernels;
}
