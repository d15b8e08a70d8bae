import { describe, expect, it } from 'vitest';
import { FileFormatError } from './errors.ts';
import { floats, type HostTensor, hostTensor, integers } from './host-tensor.ts';
import { type RandomStream, randomStream } from './random.ts';
import { encodeSafetensors, parseSafetensors } from './safetensors.ts';

/** DUALREAL_FUZZ_INPUTS=1000000 npx vitest run --project unit fuzz   runs longer. */
const INPUTS = Number(process.env.DUALREAL_FUZZ_INPUTS ?? 20_000);

const TOKENS = [
  '0,',
  '1',
  '9007199254740993',
  '4294967296',
  '-1',
  '1e9',
  '.5',
  '"',
  '\\',
  '\\u0061',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '"F64"',
  '"BOOL"',
  '"shape":[0],',
  '"__metadata__":{"a":"b"},',
  '"__metadata__":{"a":1},',
  '"__proto__":{},',
  'null',
  '\0',
  '  ',
  '\u00ff',
].map((token) => new TextEncoder().encode(token));

const SEEDS = [
  new Map<string, HostTensor>(),
  new Map<string, HostTensor>([['a', floats([2, 2], [1, 2, 3, 4])]]),
  new Map<string, HostTensor>([
    ['weight', floats([3], [1, 2, 3])],
    ['bool', hostTensor('bool', [3], Uint8Array.of(0, 1, 1))],
    ['empty', floats([0, 4], [])],
    ['half', hostTensor('bf16', [2], Uint16Array.of(0x3f80, 0x7fc0))],
    ['scalar', integers([], [7])],
  ]),
].map((tensors, index) => encodeSafetensors(tensors, index === 2 ? { format: 'pt', recipe: '{"a":1}' } : {}));

function mutate(bytes: Uint8Array, random: RandomStream): Uint8Array {
  const headerBytes = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  let out = bytes;
  for (let round = random.integer(4); round >= 0; round--) {
    // Most changes go to the header, where the rules are.
    const place = random.integer(
      Math.max(1, random.integer(4) ? Math.min(headerBytes, out.length) : out.length),
    );
    const end = Math.min(out.length, place + random.integer(12));
    switch (random.integer(6)) {
      case 0:
        out = join(out.subarray(0, place), Uint8Array.of(random.integer(256)), out.subarray(place + 1));
        break;
      case 1:
        out = join(out.subarray(0, place), random.pick(TOKENS), out.subarray(place));
        break;
      case 2:
        out = join(out.subarray(0, place), random.pick(TOKENS), out.subarray(end));
        break;
      case 3:
        out = join(out.subarray(0, place), out.subarray(end));
        break;
      case 4:
        out = join(out.subarray(0, end), out.subarray(place));
        break;
      default:
        out = out.slice(0, place);
    }
  }
  // A header length that fits again lets the change reach the rules behind it.
  if (random.integer(3) && out.length >= 8) {
    out = out.slice();
    const length = Math.max(0, headerBytes - 8 + out.length - bytes.length);
    new DataView(out.buffer).setBigUint64(0, BigInt(length), true);
  }
  return out;
}

function join(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

describe('fuzz', () => {
  it(
    `${INPUTS} mutated files are read or refused with a FileFormatError`,
    () => {
      const outcomes = new Map<string, number>();
      for (let index = 0; index < INPUTS; index++) {
        const random = randomStream(index, 'safetensors-fuzz');
        const input = mutate(random.pick(SEEDS), random);
        let outcome = 'accepted';
        try {
          const { tensors, metadata } = parseSafetensors(input);
          let dataBytes = 0;
          for (const { data } of tensors.values()) dataBytes += data.byteLength;
          if (dataBytes > input.length)
            throw new Error(`${dataBytes} bytes from an input of ${input.length}`);
          const again = parseSafetensors(encodeSafetensors(tensors, metadata));
          expect(again.tensors.size).toBe(tensors.size);
        } catch (error) {
          if (!(error instanceof FileFormatError)) throw new Error(`input ${index}`, { cause: error });
          outcome = error.expected.replace(/[\d"].*/, '');
        }
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
      // The mutations must reach past the first check, and some must leave a file valid.
      expect(outcomes.get('accepted')).toBeGreaterThan(INPUTS / 200);
      expect(outcomes.size).toBeGreaterThan(12);
    },
    30_000 + INPUTS,
  );
});
