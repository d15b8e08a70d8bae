import { describe, expect, it } from 'vitest';
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16, viewBytes } from './dtype.ts';

describe('half precision', () => {
  it('f16: every finite pattern survives the round trip', () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      if ((bits & 0x7c00) === 0x7c00 && bits & 0x3ff) continue;
      expect(numberToF16(f16ToNumber(bits))).toBe(bits);
    }
  });

  it('f16: rounds to nearest, ties to even, overflows to infinity', () => {
    expect(f16ToNumber(numberToF16(1 + 2 ** -11))).toBe(1);
    expect(f16ToNumber(numberToF16(1 + 3 * 2 ** -11))).toBe(1 + 2 ** -9);
    expect(f16ToNumber(numberToF16(65519))).toBe(65504);
    expect(f16ToNumber(numberToF16(65520))).toBe(Number.POSITIVE_INFINITY);
    expect(f16ToNumber(numberToF16(2 ** -25))).toBe(0);
    expect(f16ToNumber(numberToF16(-1.5 * 2 ** -25))).toBe(-(2 ** -24));
    expect(f16ToNumber(numberToF16(Number.NaN))).toBeNaN();
  });

  it('bf16: round trip and ties to even', () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      if ((bits & 0x7f80) === 0x7f80 && bits & 0x7f) continue;
      expect(numberToBf16(bf16ToNumber(bits))).toBe(bits);
    }
    expect(bf16ToNumber(numberToBf16(1 + 2 ** -8))).toBe(1);
    expect(bf16ToNumber(numberToBf16(1 + 3 * 2 ** -8))).toBe(1 + 2 ** -6);
    expect(bf16ToNumber(numberToBf16(Number.NaN))).toBeNaN();
  });
});

describe('viewBytes', () => {
  it('copies only where it must', () => {
    const bytes = new Uint8Array(12);
    expect(viewBytes('f32', bytes.subarray(4, 12)).buffer).toBe(bytes.buffer);
    expect(viewBytes('f32', bytes.subarray(1, 9)).buffer).not.toBe(bytes.buffer);
  });

  it('reads unaligned parts of a Node Buffer', () => {
    const buffer = Buffer.alloc(12);
    buffer.writeFloatLE(2.5, 1);
    expect([...viewBytes('f32', buffer.subarray(1, 9))]).toEqual([2.5, 0]);
  });
});
