import { DualrealError } from '../tensor/errors.ts';

/** What JSON can hold. Fields that are undefined are left out. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue | undefined;
}

/** A value that JSON would silently change (NaN, a Map, a Date, …). */
export class NotPlainJsonError extends DualrealError {}

const MAX_DEPTH = 64;

/**
 * One line of JSON that reads back as exactly the same value. Unlike JSON.stringify it refuses what would
 * come back as something else: NaN and infinities, big integers, functions, dates, maps, typed arrays, a
 * hole in a list. `where` names the value in errors.
 */
export function encodeJson(value: unknown, where: string): string {
  return encode(value, where, 0, (keys) => keys);
}

/** {@link encodeJson} with the keys of every object in code-unit order: equal values give equal text. */
export function canonicalJson(value: unknown, where: string): string {
  return encode(value, where, 0, (keys) => keys.sort());
}

function encode(value: unknown, where: string, depth: number, order: (keys: string[]) => string[]): string {
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return JSON.stringify(value);
    throw new NotPlainJsonError({ where, expected: 'a finite number', got: String(value) });
  }
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return JSON.stringify(value);
  if (depth >= MAX_DEPTH) {
    throw new NotPlainJsonError({ where, expected: `at most ${MAX_DEPTH} levels`, got: 'deeper nesting' });
  }
  if (Array.isArray(value)) {
    const items = Array.from(value, (item, i) => encode(item, `${where}[${i}]`, depth + 1, order));
    return `[${items.join(',')}]`;
  }
  if (!isPlainObject(value)) {
    throw new NotPlainJsonError({ where, expected: 'plain JSON', got: describe(value) });
  }
  const keys = order(Object.keys(value).filter((key) => value[key] !== undefined));
  const fields = keys.map(
    (key) => `${JSON.stringify(key)}:${encode(value[key], `${where}.${key}`, depth + 1, order)}`,
  );
  return `{${fields.join(',')}}`;
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function describe(value: unknown): string {
  if (typeof value === 'object' && value !== null) return `a ${value.constructor?.name ?? 'special'} object`;
  return typeof value === 'bigint' ? 'a big integer' : String(value === undefined ? value : typeof value);
}
