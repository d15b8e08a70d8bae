import { expect, it } from 'vitest';
import { doctorRequestSchema } from '../workflows/doctor-request.ts';
import { generateRequestSchema } from '../workflows/generate-request.ts';
import { trainRequestSchema } from '../workflows/train-request.ts';
import { frameRate, keyValue, number, parseRequest, RequestError } from './options.ts';

const flags = { subject: ['photos'], motion: ['clips'], base: 'base', out: 'run' };

it('numbers are whole texts', () => {
  expect(number('1e-3')).toBe(0.001);
  for (const text of ['', ' ', '3x', 'three']) expect(() => number(text)).toThrow('not a number');
  expect(frameRate('native')).toBe('native');
  expect(frameRate('12.5')).toBe(12.5);
  expect(() => frameRate('nativ')).toThrow('not a number');
});

it('pairs are collected; values are JSON where they can be', () => {
  const first = keyValue('groups=2');
  expect(keyValue('pooling=max', first)).toEqual({ groups: 2, pooling: 'max' });
  expect(keyValue('text=a=b')).toEqual({ text: 'a=b' });
  for (const text of ['groups', '=2', '']) expect(() => keyValue(text)).toThrow('key=value');
});

it('takes a good request, with defaults', () => {
  expect(parseRequest(trainRequestSchema, flags)).toMatchObject({
    method: 'dualreal',
    preset: 'official',
    seed: 42,
  });
});

it.each([
  [{ subject: undefined }, 'option --subject: expected to be given, got nothing'],
  [{ steps: 2.5 }, 'option --steps: expected a whole number, got 2.5'],
  [{ steps: 0 }, 'option --steps: expected a number above 0, got 0'],
  [{ seed: 1e20 }, 'option --seed: expected a number of at most 9007199254740991, got 100000000000000000000'],
  [{ motionRatio: 1.5 }, 'option --motion-ratio: expected a number of at most 1, got 1.5'],
  [{ preset: 'papr' }, 'option --preset: expected one of official, paper, clean, got "papr"'],
  [{ options: { grops: 2 } }, 'option --option: expected a known name, got "grops"'],
  [{ options: { groups: 'abc' } }, 'option --option groups: expected a number, got "abc"'],
  [{ method: 'lora', options: { groups: 2 } }, 'option --option: expected a known name, got "groups"'],
  [
    { method: 'lora', ablation: 'without-mask' },
    'option --ablation: expected none: only dualreal has ablations',
  ],
  [{ steps: 9, stageSteps: { joint: 9 } }, 'option --stage-steps: expected either'],
  [{ stageLearningRates: { joint: -1 } }, 'option --stage-learning-rate joint: expected a number above 0'],
  [{ base: '' }, 'option --base: expected something, got ""'],
])('refuses %j and names the option', (change, message) => {
  expect(() => parseRequest(trainRequestSchema, { ...flags, ...change })).toThrow(RequestError);
  expect(() => parseRequest(trainRequestSchema, { ...flags, ...change })).toThrow(message);
});

it('names flags as they are written', () => {
  expect(() => parseRequest(generateRequestSchema, { prompts: [] })).toThrow(
    'option --prompt: expected something',
  );
});

it('a rule over several options is told without an option', () => {
  expect(() => parseRequest(doctorRequestSchema, { subject: [], motion: [] })).toThrow(
    'the options: expected',
  );
});
