import { existsSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { asFloats, type FloatTensor, type HostTensor } from '../../src/tensor/host-tensor.ts';
import { readSafetensorsFile } from '../../src/tensor/safetensors.ts';
import { formatShape, sameShape } from '../../src/tensor/shape.ts';

/**
 * Reads reference tensors for the parity tests. Tests take every shape, count and case name from the folder
 * they are given, so that the same tests run on other folders of the same layout:
 * `DUALREAL_GOLDEN=/elsewhere npm run test:parity`.
 */
export interface Golden {
  readonly folder: string;
  /** Absolute path of a file in the folder (whether or not it is there). */
  path(file: string): string;
  has(file: string): boolean;
  /** A parsed JSON file; the caller names the type it relies on. */
  json<T>(file: string): T;
  /** All tensors of a safetensors file. */
  tensors(file: string): Promise<GoldenTensors>;
}

/** Named tensors; asking for one that is not there is an error that names it. */
export class GoldenTensors {
  readonly #file: string;
  readonly #tensors: ReadonlyMap<string, HostTensor>;

  constructor(file: string, tensors: ReadonlyMap<string, HostTensor>) {
    this.#file = file;
    this.#tensors = tensors;
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  get(name: string): HostTensor {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw new Error(`${this.#file} has no tensor ${name}`);
    return tensor;
  }

  /** The tensor as f32 (integers and halves are converted). */
  floats(name: string): FloatTensor {
    return asFloats(this.get(name));
  }

  /** The elements as JavaScript numbers, exact for f64 and for i64 below 2^53. */
  numbers(name: string): number[] {
    return numbersOf(this.get(name));
  }

  names(): string[] {
    return [...this.#tensors.keys()];
  }

  /** One entry per name that the pattern matches, in file order; for enumerating cases. */
  matching(pattern: RegExp): RegExpExecArray[] {
    return this.names()
      .map((name) => pattern.exec(name))
      .filter((match) => match !== null);
  }

  [Symbol.iterator](): IterableIterator<[string, HostTensor]> {
    return this.#tensors.entries();
  }
}

/** The folder that holds the reference folders: the environment's DUALREAL_GOLDEN, or test/golden. */
export function goldenRoot(): string {
  const elsewhere = process.env.DUALREAL_GOLDEN;
  return elsewhere ? resolve(elsewhere) : fileURLToPath(new URL('../golden', import.meta.url));
}

/** Opens a reference folder without registering tests; undefined where it is absent. */
export function openGolden(folder: string): Golden | undefined {
  const base = join(goldenRoot(), folder);
  if (!existsSync(base)) return undefined;
  const path = (file: string) => join(base, file);
  return {
    folder,
    path,
    has: (file) => existsSync(path(file)),
    json: <T>(file: string) => JSON.parse(readFileSync(path(file), 'utf8')) as T,
    tensors: (file) => readTensors(path(file)),
  };
}

/**
 * `describe` for one reference folder. The body may be async, so that it can enumerate tensor names before it
 * registers its tests. An absent folder shows up as one skipped test that says so; an absent *root* is a
 * failure, because a mistyped DUALREAL_GOLDEN must not look like success.
 */
export function describeGolden(folder: string, body: (golden: Golden) => void | Promise<void>): void {
  const root = goldenRoot();
  describe(folder, async () => {
    if (!existsSync(root) || !statSync(root).isDirectory()) {
      it('finds the golden root', () => expect.fail(`no folder ${root}`));
      return;
    }
    const golden = openGolden(folder);
    if (golden) return body(golden);
    // The default reporter only counts skipped tests; the name belongs on the screen.
    console.warn(`${folder}: absent in ${root}`);
    it.skip(`${folder}: absent in ${root}`, () => {});
  });
}

/** Element i passes where |actual − expected| ≤ abs + rel·|expected|. Both default to 0. */
export interface Tolerance {
  readonly abs?: number;
  readonly rel?: number;
}

/**
 * Fails, naming `label`, the worst element and the tolerance, unless every element is close. Two tensors must
 * also have the same shape. NaN is close to nothing but NaN; an infinity only to itself.
 */
export function expectClose(
  actual: HostTensor | ArrayLike<number>,
  expected: HostTensor | ArrayLike<number>,
  tolerance: Tolerance,
  label: string,
): void {
  if (isTensor(actual) && isTensor(expected) && !sameShape(actual.shape, expected.shape)) {
    expect.fail(`${label}: shape ${formatShape(actual.shape)}, expected ${formatShape(expected.shape)}`);
  }
  const got = isTensor(actual) ? numbersOf(actual) : Array.from(actual);
  const want = isTensor(expected) ? numbersOf(expected) : Array.from(expected);
  if (got.length !== want.length) expect.fail(`${label}: ${got.length} elements, expected ${want.length}`);
  const { abs = 0, rel = 0 } = tolerance;
  let worst = -1;
  let worstExcess = 0;
  for (let i = 0; i < want.length; i++) {
    const allowed = abs + (Number.isFinite(want[i]) ? rel * Math.abs(want[i]) : 0);
    const difference = Object.is(got[i], want[i]) || got[i] === want[i] ? 0 : Math.abs(got[i] - want[i]);
    const excess = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference - allowed;
    if (excess > worstExcess) {
      worst = i;
      worstExcess = excess;
    }
  }
  if (worst < 0) return;
  const at = isTensor(expected) ? ` ${formatShape(coordinates(worst, expected))}` : '';
  const difference = Math.abs(got[worst] - want[worst]).toExponential(3);
  expect.fail(
    `${label}: worst difference ${difference} at index ${worst}${at} (got ${got[worst]}, ` +
      `expected ${want[worst]}), tolerance abs ${abs} rel ${rel}`,
  );
}

function isTensor(value: HostTensor | ArrayLike<number>): value is HostTensor {
  return 'dtype' in value && 'shape' in value;
}

function numbersOf(tensor: HostTensor): number[] {
  const half = tensor.dtype === 'f16' || tensor.dtype === 'bf16';
  const data = (half ? asFloats(tensor) : tensor).data as ArrayLike<number | bigint>;
  return Array.from(data, Number);
}

function coordinates(index: number, tensor: HostTensor): number[] {
  let rest = index;
  return [...tensor.shape]
    .reverse()
    .map((extent) => {
      const along = rest % extent;
      rest = (rest - along) / extent;
      return along;
    })
    .reverse();
}

async function readTensors(path: string): Promise<GoldenTensors> {
  return new GoldenTensors(path, await readSafetensorsFile(path));
}

/** The absolute tolerance that the folder's README suggests, or `fallback` where it states none. */
export function statedTolerance(golden: Golden, fallback: number): number {
  return statedNumber(golden, /Suggested tolerance: abs ([\d.]+e?-?\d*)/, fallback);
}

/** The number that the pattern's first group finds in the folder's README, or `fallback`. */
export function statedNumber(golden: Golden, pattern: RegExp, fallback: number): number {
  if (!golden.has('README.md')) return fallback;
  const stated = pattern.exec(readFileSync(golden.path('README.md'), 'utf8'));
  return stated ? Number(stated[1]) : fallback;
}
