import { FileFormatError } from './errors.ts';

/** Bounds that a JSON text of a file must keep, checked before anything is built from it. */
export interface JsonLimits {
  readonly maxDepth: number;
  readonly maxKeysPerObject: number;
  /** `naturals`: besides strings, lists and objects only numbers written as plain digits may occur. */
  readonly scalars: 'any' | 'naturals';
}

export const DEFAULT_JSON_LIMITS: JsonLimits = { maxDepth: 64, maxKeysPerObject: 1_000_000, scalars: 'any' };

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const PLAIN = '0123456789: \t\n\r';

/** Untrusted text, quoted and cut to a length that fits into an error message. */
export function quoteBriefly(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}

/**
 * Decodes and parses a JSON file or header: valid UTF-8, valid JSON, no object with the same key twice
 * (JSON.parse would keep the last one silently), within the limits. Throws {@link FileFormatError}.
 */
export function parseStrictJson(bytes: Uint8Array, where: string, limits = DEFAULT_JSON_LIMITS): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FileFormatError({ where, expected: 'valid UTF-8', got: 'bytes that are not', cause });
  }
  // Before JSON.parse, so that hostile nesting is refused before objects are built for it.
  scanStructure(text, where, limits);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FileFormatError({
      where,
      expected: 'valid JSON',
      got: cause instanceof Error ? cause.message : 'something else',
      cause,
    });
  }
}

/** A plain object (not a list, not null) as a list of its own keys and values. */
export function objectEntries(value: unknown, where: string): [string, unknown][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new FileFormatError({ where, expected: 'a JSON object', got: quoteBriefly(value) });
  }
  return Object.entries(value);
}

/** Walks the tokens of a text that may not be JSON at all: syntax errors are left to JSON.parse. */
function scanStructure(text: string, where: string, limits: JsonLimits): void {
  // One entry per open bracket: the keys seen in an object, or null for a list.
  const open: (Set<string> | null)[] = [];
  let keyComesNext = false;
  let position = 0;
  while (position < text.length) {
    const code = text.charCodeAt(position);
    if (code === QUOTE) {
      const end = endOfString(text, position);
      const keys = open.at(-1);
      if (keyComesNext && keys) addKey(keys, text.slice(position, end), where, limits);
      keyComesNext = false;
      position = end;
      continue;
    }
    if (code === OPEN_OBJECT || code === OPEN_LIST) {
      open.push(code === OPEN_OBJECT ? new Set() : null);
      keyComesNext = code === OPEN_OBJECT;
      if (open.length > limits.maxDepth) {
        throw new FileFormatError({
          where,
          expected: `JSON nested at most ${limits.maxDepth} deep`,
          got: 'deeper nesting',
        });
      }
    } else if (code === CLOSE_OBJECT || code === CLOSE_LIST) {
      open.pop();
      keyComesNext = false;
    } else if (code === COMMA) {
      keyComesNext = open.at(-1) instanceof Set;
    } else if (limits.scalars === 'naturals' && !PLAIN.includes(text[position])) {
      throw new FileFormatError({
        where,
        expected: 'strings, lists, objects and numbers written as plain digits',
        got: quoteBriefly(text.slice(Math.max(0, position - 8), position + 8)),
      });
    }
    position++;
  }
}

function endOfString(text: string, start: number): number {
  for (let position = start + 1; position < text.length; position++) {
    const code = text.charCodeAt(position);
    if (code === BACKSLASH) position++;
    else if (code === QUOTE) return position + 1;
  }
  return text.length;
}

function addKey(keys: Set<string>, quoted: string, where: string, limits: JsonLimits): void {
  let key: unknown = quoted;
  try {
    key = JSON.parse(quoted);
  } catch {
    return; // Broken string: JSON.parse of the whole text reports it.
  }
  if (typeof key !== 'string') return;
  if (keys.has(key)) {
    throw new FileFormatError({ where, expected: 'each key once', got: `${quoteBriefly(key)} twice` });
  }
  keys.add(key);
  if (keys.size > limits.maxKeysPerObject) {
    throw new FileFormatError({
      where,
      expected: `at most ${limits.maxKeysPerObject} keys in an object`,
      got: 'more',
    });
  }
}
