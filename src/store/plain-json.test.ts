import { describe, expect, it } from 'vitest';
import { randomStream } from '../tensor/random.ts';
import { canonicalJson, encodeJson, NotPlainJsonError } from './plain-json.ts';

describe('encodeJson', () => {
  it('writes what reads back as the same value', () => {
    const value = { b: [1, -0.5, 1e-300, null, true, 'grün "\n\u2028'], a: { ß: [], '': {} }, 2: 'two' };
    expect(JSON.parse(encodeJson(value, 'it'))).toEqual(value);
    expect(encodeJson({ a: undefined, b: 1 }, 'it')).toBe('{"b":1}');
    expect(encodeJson({ text: 'a\nb' }, 'it')).not.toContain('\n');
  });

  it.each([
    ['NaN', { loss: Number.NaN }, 'event.loss'],
    ['infinity', { list: [1, Number.POSITIVE_INFINITY] }, 'event.list[1]'],
    ['a big integer', { n: 1n }, 'event.n'],
    ['a hole', { list: [1, undefined] }, 'event.list[1]'],
    ['a typed array', { data: new Float32Array(2) }, 'event.data'],
    ['a map', { map: new Map() }, 'event.map'],
    ['a date', { at: new Date(0) }, 'event.at'],
    ['a function', { f: () => 1 }, 'event.f'],
  ])('refuses %s and says where it is', (_, value, where) => {
    expect(() => encodeJson(value, 'event')).toThrow(NotPlainJsonError);
    expect(() => encodeJson(value, 'event')).toThrow(`${where}:`);
  });

  it('refuses endless nesting', () => {
    const loop: Record<string, unknown> = {};
    loop.self = loop;
    expect(() => encodeJson(loop, 'event')).toThrow(/deeper nesting/);
  });
});

describe('canonicalJson', () => {
  it('does not depend on the order of keys', () => {
    expect(canonicalJson({ b: 1, a: { d: 2, c: [3] } }, 'it')).toBe('{"a":{"c":[3],"d":2},"b":1}');
    expect(canonicalJson({ 10: 0, 9: 0, é: 0, e: 0 }, 'it')).toBe('{"10":0,"9":0,"e":0,"é":0}');
  });

  it('equal values give equal text, different values different text', () => {
    for (let round = 0; round < 200; round++) {
      const random = randomStream(7, 'canonical-json', round);
      const entries = Array.from({ length: 6 }, (_, i) => [`k${i}`, random.integer(4)] as const);
      const shuffled = random.permutation(6).map((i) => entries[i]);
      const text = canonicalJson(Object.fromEntries(entries), 'it');
      expect(canonicalJson(Object.fromEntries(shuffled), 'it')).toBe(text);
      const [key, value] = random.pick(entries);
      expect(canonicalJson({ ...Object.fromEntries(entries), [key]: value + 1 }, 'it')).not.toBe(text);
    }
  });
});
