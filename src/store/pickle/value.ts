import type { DType } from '../../tensor/dtype.ts';
import { FileFormatError } from '../../tensor/errors.ts';

/** What a pickle may hold here: plain data and references to tensors. Nothing in it can run. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleValue[]
  | PickleTuple
  | PickleDict
  | PickleGlobal
  | PickleStorage
  | PickleTensor;

export type PickleKey = string | number | bigint | boolean | null;

export interface PickleTuple {
  readonly kind: 'tuple';
  readonly items: readonly PickleValue[];
}

/** A dict or a collections.OrderedDict. */
export interface PickleDict {
  readonly kind: 'dict';
  readonly ordered: boolean;
  readonly items: Map<PickleKey, PickleValue>;
}

/** One of the allowed names, e.g. torch._utils._rebuild_tensor_v2. Only a label: there is no code behind it. */
export interface PickleGlobal {
  readonly kind: 'global';
  readonly name: string;
}

/** A block of elements in another part of the file, named by `key`. */
export interface PickleStorage {
  readonly kind: 'storage';
  readonly dtype: DType;
  readonly key: string;
  /** Number of elements. */
  readonly length: number;
}

/** A strided view of a storage; offset and strides count elements. */
export interface PickleTensor {
  readonly kind: 'tensor';
  readonly storage: PickleStorage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

export type PickleKind = 'tuple' | 'dict' | 'global' | 'storage' | 'tensor';

export function isKind<K extends PickleKind>(
  value: PickleValue | undefined,
  kind: K,
): value is Extract<PickleValue, { kind: K }> {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === kind;
}

/** What a value is, for error messages. */
export function describeValue(value: PickleValue | undefined): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'None';
  if (Array.isArray(value)) return 'a list';
  if (value instanceof Uint8Array) return 'bytes';
  if (typeof value !== 'object') return `a ${typeof value}`;
  return value.kind === 'global' ? `the global ${value.name}` : `a ${value.kind}`;
}

/** A whole number ≥ 0 that JavaScript holds exactly. */
export function naturalOf(value: PickleValue | undefined, what: string, where: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new FileFormatError({
      where: `${where}: ${what}`,
      expected: 'a whole number from 0 to 2^53 − 1',
      got: typeof value === 'number' ? `${value}` : describeValue(value),
    });
  }
  return value;
}
