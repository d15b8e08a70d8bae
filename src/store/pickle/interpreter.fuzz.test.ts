import { describe, expect, it } from 'vitest';
import { FileFormatError } from '../../tensor/errors.ts';
import { type RandomStream, randomStream } from '../../tensor/random.ts';
import { interpretPickle } from './interpreter.ts';
import { encodeParameterDict } from './pickle-writer.ts';
import { torchWorld } from './torch-world.ts';

/** DUALREAL_FUZZ_INPUTS=1000000 npx vitest run --project unit fuzz   runs longer. */
const INPUTS = Number(process.env.DUALREAL_FUZZ_INPUTS ?? 20_000);

const latin1 = (text: string) => new Uint8Array(Buffer.from(text, 'latin1'));

const TOKENS = [
  'cos\nsystem\n',
  'ccollections\nOrderedDict\n',
  'ctorch\nFloatStorage\n',
  'ctorch._utils\n_rebuild_tensor_v2\n',
  'ctorch\nSize\n',
  '(',
  '(t',
  ')R',
  'tR',
  'Q',
  'b',
  '}',
  ']',
  'a',
  'e',
  'u',
  's',
  '0',
  '1',
  '2',
  'h\0',
  'q\0',
  '\x94',
  '\x93',
  'N.',
  'X\x01\0\0\0x',
  'J\xff\xff\xff\xff',
  '\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f',
  '\x8b\xff\xff\xff\x7f',
  'I99999999999999999999\n',
].map(latin1);

const SEEDS = [
  encodeParameterDict([
    { name: 'weight', key: '0', dtype: 'f32', shape: [4, 6] },
    { name: 'mask', key: '1', dtype: 'bool', shape: [0, 3] },
    { name: 'scale', key: '2', dtype: 'bf16', shape: [] },
  ]),
  latin1("(dp0\nS'a'\np1\n(lp2\nI1\naI01\naF0.5\nas."),
  latin1('\x80\x04\x95\x10\0\0\0\0\0\0\0}\x94(\x8c\x01k\x94K\x01\x8c\x01l\x94]\x94(K\x01K\x02eu.'),
];

function mutate(bytes: Uint8Array, random: RandomStream): Uint8Array {
  let out = bytes;
  for (let round = random.integer(3); round >= 0; round--) {
    const place = random.integer(Math.max(1, out.length));
    const end = Math.min(out.length, place + random.integer(8));
    const choices = [
      [out.subarray(0, place), Uint8Array.of(random.integer(256)), out.subarray(place + 1)],
      [out.subarray(0, place), random.pick(TOKENS), out.subarray(place)],
      [out.subarray(0, place), random.pick(TOKENS), out.subarray(end)],
      [out.subarray(0, place), out.subarray(end)],
      [out.subarray(0, end), out.subarray(place)],
    ];
    out = new Uint8Array(Buffer.concat(random.pick(choices)));
  }
  return out;
}

describe('fuzz', () => {
  it(
    `${INPUTS} mutated pickles are read or refused with a FileFormatError`,
    () => {
      const outcomes = new Map<string, number>();
      for (let index = 0; index < INPUTS; index++) {
        const random = randomStream(index, 'pickle-fuzz');
        const input = mutate(random.pick(SEEDS), random);
        let outcome = 'read';
        try {
          interpretPickle(
            input,
            torchWorld(() => {}),
            'fuzz',
          );
        } catch (error) {
          if (!(error instanceof FileFormatError)) throw new Error(`input ${index}`, { cause: error });
          outcome = error.expected.replace(/\d.*/, '');
        }
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
      // The mutations must reach past the first check, and some must leave a pickle readable.
      expect(outcomes.get('read')).toBeGreaterThan(INPUTS / 200);
      expect(outcomes.size).toBeGreaterThan(20);
    },
    30_000 + INPUTS,
  );
});
