import { describe, expect, it } from 'vitest';
import { asFloats, floats } from '../../tensor/host-tensor.ts';
import {
  expectGradients,
  gradientNames,
  inputsOf,
  randomTensor,
  run,
  tinyBatch,
  tinyConfig,
} from '../trial.cases.ts';
import { dreamVideoMethod, SUBJECT_TOKEN } from './method.ts';

const method = dreamVideoMethod({ conditionDim: 12 });
const conditioned = { ...tinyBatch, conditioned: true };
const masked = { ...tinyBatch, masked: true };
const sampling = { config: tinyConfig, shape: conditioned };

/** All trained tensors, at random. */
const trained = Object.fromEntries(
  [...method.parameters(tinyConfig)].map(([name, { shape }]) => [name, randomTensor(name, shape, 0.2)]),
);

const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);

describe('DreamVideo', () => {
  it('token: gradients agree with finite differences, with and without masks', async () => {
    await expectGradients(method, { stage: 'token', phase: 'token' }, tinyBatch);
    await expectGradients(method, { stage: 'token', phase: 'token' }, masked);
  });

  it('identity: gradients agree with finite differences', async () => {
    const slices = [/down_linear/, /up_linear/];
    await expectGradients(method, { stage: 'identity', phase: 'identity' }, masked, slices);
  });

  it('motion: gradients agree with finite differences', async () => {
    const slices = [/attn.*down/, /attn.*up/, /ff.*down/, /ff.*up/, /condition_linear/];
    await expectGradients(method, { stage: 'motion', phase: 'motion' }, conditioned, slices);
  });

  it('trains one word, then identity adapters on attention, then motion adapters on both sites', () => {
    const byGroup = new Map<string, Set<string>>();
    for (const [name, { group }] of method.parameters(tinyConfig)) {
      const kinds = byGroup.get(group) ?? new Set();
      byGroup.set(group, kinds.add(name.split('.')[2] ?? name));
    }
    expect(Object.fromEntries([...byGroup].map(([group, kinds]) => [group, [...kinds]]))).toEqual({
      token: [SUBJECT_TOKEN],
      identity: ['id_attn_adapter'],
      motion: ['motion_attn_adapter', 'motion_ff_adapter'],
    });
    expect(method.parameters(tinyConfig).get(SUBJECT_TOKEN)!.shape).toEqual([tinyConfig.textDim]);
    const down = 'transformer_blocks.0.id_attn_adapter.down_linear.weight';
    expect(method.parameters(tinyConfig).get(down)!.shape).toEqual([tinyConfig.width / 2, tinyConfig.width]);
  });

  it('a stage differentiates nothing but its own group; the word is a frozen weight of the second', () => {
    const identity = method.objective({
      config: tinyConfig,
      stage: 'identity',
      phase: 'identity',
      shape: tinyBatch,
    });
    expect(gradientNames(identity).every((name) => name.includes('id_attn_adapter'))).toBe(true);
    expect(identity.weights.has(SUBJECT_TOKEN)).toBe(true);
    const motion = method.objective({
      config: tinyConfig,
      stage: 'motion',
      phase: 'motion',
      shape: conditioned,
    });
    expect([...motion.inputs.keys()]).not.toContain('subjectTokens');
    expect([...motion.weights.keys()].some((name) => name.includes('id_attn_adapter'))).toBe(false);
  });

  it('starts as the base model with the class word in place of the subject word', async () => {
    const word = randomTensor('dog', [tinyConfig.textDim]);
    const unread = () => expect.fail('the base is not read');
    const initial = await method.initial(tinyConfig, { seed: 3, base: unread, classWord: async () => word });
    expect([...initial.keys()]).toEqual([...method.parameters(tinyConfig).keys()]);
    const adapted = method.sampling({ ...sampling, guided: false });
    const inputs = inputsOf(adapted);
    const marked = asFloats(inputs.subjectTokens).data;
    const text = asFloats(inputs.text);
    const replaced = text.data.map((value, i) => {
      const width = tinyConfig.textDim;
      return marked[Math.floor(i / width)] ? word.data[i % width] : value;
    });
    const plain = {
      ...inputs,
      text: floats(text.shape, replaced),
      subjectTokens: floats([2, 6], new Array(12).fill(0)),
    };
    const a = asFloats((await run(adapted, inputs, Object.fromEntries(initial))).output).data;
    const b = asFloats((await run(adapted, plain, Object.fromEntries(initial))).output).data;
    expect(largestDifference(a, b)).toBeLessThan(1e-5);
    const unmarked = { ...inputs, subjectTokens: plain.subjectTokens };
    const c = asFloats((await run(adapted, unmarked, Object.fromEntries(initial))).output).data;
    expect(largestDifference(a, c)).toBeGreaterThan(1e-2);
  });

  it('appearance is at work in the conditional half only', async () => {
    const program = method.sampling({ ...sampling, guided: true });
    const inputs = inputsOf(program);
    const other = { ...inputs, condition: randomTensor('other condition', inputs.condition.shape) };
    const [a, b] = [await run(program, inputs, trained), await run(program, other, trained)];
    const half = asFloats(a.output).data.length / 2;
    const [first, second] = [asFloats(a.output).data, asFloats(b.output).data];
    expect(largestDifference(first.subarray(0, half), second.subarray(0, half))).toBe(0);
    expect(largestDifference(first.subarray(half), second.subarray(half))).toBeGreaterThan(1e-2);
    // Strength 0 leaves out the condition with its bias: as if there were none.
    const without = method.sampling({ ...sampling, shape: tinyBatch, guided: true });
    const bare = asFloats((await run(without, inputs, trained)).output).data;
    expect(largestDifference(first.subarray(0, half), bare.subarray(0, half))).toBeLessThan(1e-5);
  });

  it('asks for the class word, and for one of the right width', async () => {
    const base = () => expect.fail('the base is not read');
    await expect(method.initial(tinyConfig, { seed: 1, base })).rejects.toThrow(/subject's class/);
    const classWord = async () => floats([2], [1, 2]);
    await expect(method.initial(tinyConfig, { seed: 1, base, classWord })).rejects.toThrow(
      /\[24\], got \[2\]/,
    );
  });
});
