/**
 * Random streams that are pure functions of a seed and a path of names and numbers, so that any step of
 * any run can be replayed: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
 * SC 2011) in counter mode. The seed is the key; the path, hashed, is the upper half of the counter.
 */
export interface RandomStream {
  /** 32 random bits. */
  bits(): number;
  /** Uniform in [0, 1), 53 bits. */
  uniform(): number;
  /** Uniform integer in [0, bound); unbiased. */
  integer(bound: number): number;
  /** Standard normal (Box–Muller). */
  normal(): number;
  /** `length` standard normals as f32. */
  normals(length: number): Float32Array;
  /** A permutation of 0 … length − 1 (Fisher–Yates). */
  permutation(length: number): number[];
  /** One element, uniformly. */
  pick<T>(items: readonly T[]): T;
}

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;

function highProduct(a: number, b: number): number {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const low = aLow * bLow;
  const middle = aHigh * bLow + (low >>> 16);
  const cross = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + (cross - (cross & 0xffff)) / 0x10000) >>> 0;
}

/** One Philox4x32-10 block; `out` receives four 32-bit words. Exported for its known-answer test. */
export function philoxBlock(counter: Uint32Array, key0: number, key1: number, out: Uint32Array): void {
  let [c0, c1, c2, c3] = counter;
  let k0 = key0;
  let k1 = key1;
  for (let round = 0; round < 10; round++) {
    const high0 = highProduct(MULTIPLIER_0, c0);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const high1 = highProduct(MULTIPLIER_1, c2);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1 >>> 0;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0 >>> 0;
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** 64-bit FNV-1a of the path as two 32-bit words; parts are separated so that ('a','b') ≠ ('ab'). */
function hashPath(path: readonly (string | number)[]): [number, number] {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(JSON.stringify(path))) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return [Number(hash & 0xffffffffn), Number(hash >> 32n)];
}

/** The stream of `seed` (a safe integer) at `path`, e.g. `randomStream(seed, 'noise', step)`. */
export function randomStream(seed: number, ...path: (string | number)[]): RandomStream {
  if (!Number.isSafeInteger(seed)) throw new RangeError(`seed must be a safe integer, got ${seed}`);
  const key0 = seed >>> 0;
  const key1 = Math.floor(seed / 0x100000000) >>> 0;
  const [path0, path1] = hashPath(path);
  const counter = Uint32Array.of(0, 0, path0, path1);
  const block = new Uint32Array(4);
  let used = 4;
  let spare: number | undefined;

  const bits = (): number => {
    if (used === 4) {
      philoxBlock(counter, key0, key1, block);
      counter[0]++;
      if (counter[0] === 0) counter[1]++;
      used = 0;
    }
    return block[used++];
  };
  const uniform = (): number => ((bits() >>> 5) * 0x4000000 + (bits() >>> 6)) / 0x20000000000000;
  const integer = (bound: number): number => {
    if (!Number.isInteger(bound) || bound < 1 || bound > 0x100000000) {
      throw new RangeError(`bound must be an integer in [1, 2^32], got ${bound}`);
    }
    const limit = 0x100000000 - (0x100000000 % bound);
    for (;;) {
      const word = bits();
      if (word < limit) return word % bound;
    }
  };
  const normal = (): number => {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    const angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
  return {
    bits,
    uniform,
    integer,
    normal,
    normals: (length) => Float32Array.from({ length }, normal),
    permutation: (length) => {
      const order = Array.from({ length }, (_, index) => index);
      for (let i = length - 1; i > 0; i--) {
        const j = integer(i + 1);
        [order[i], order[j]] = [order[j], order[i]];
      }
      return order;
    },
    pick: (items) => items[integer(items.length)],
  };
}
