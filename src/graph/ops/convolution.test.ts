import { describe, expect, it } from 'vitest';
import { fromOrtTensor, openSession, toOrtTensor } from '../../runtime/session.ts';
import type { EmitTarget } from '../onnx-emitter.ts';
import { writeOnnx } from '../onnx-writer.ts';
import { allCases, computingOps, opTrial, resultName } from '../op-trial.cases.ts';
import { schedule } from './convolution-schedule.ts';

const cases = await allCases();

/** The forms that other machines get; gradients.test.ts runs the one of this machine. */
const TARGETS: readonly [string, EmitTarget][] = [
  ['a CPU without blocked convolutions', { backend: 'cpu' }],
  ['WebGPU', { backend: 'webgpu' }],
];

describe.each(TARGETS)('convolutions as written for %s', (_, target) => {
  it.each(computingOps().filter(({ name }) => name.startsWith('convolve')))('$name', async (op) => {
    const trial = opTrial(op, cases.get(op.name)!, 6);
    const model = writeOnnx(trial.program, { target, weights: new Map() });
    const settings = { backend: 'cpu', threads: 1, externalRoot: '/', weights: 'fold' } as const;
    const session = await openSession(model, settings);
    const feeds = Object.entries(trial.feeds).map(([name, tensor]) => [name, toOrtTensor(tensor)]);
    const results = await session.run(Object.fromEntries(feeds));
    for (const [i, { outputs, tolerance }] of trial.samples.entries()) {
      for (const [j, { expected }] of outputs.entries()) {
        const actual = fromOrtTensor(results[resultName(i, j)]);
        expect(actual.shape).toEqual(expected.shape);
        const errors = Array.from(expected.data, (value, k) => Math.abs(Number(actual.data[k]) - value));
        const largest = Array.from(expected.data).reduce((most, value) => Math.max(most, Math.abs(value)), 1);
        expect(errors.reduce((most, error) => Math.max(most, error), 0)).toBeLessThan(tolerance! * largest);
      }
    }
    await session.release();
  });
});

describe('the schedule', () => {
  const terms = (rows: readonly (readonly number[])[]) =>
    rows.map((row) => row.map((input, tap) => ({ input, tap })));

  it('pairs neighbours of a causal kernel, and leaves an odd one', () => {
    const steps = schedule(
      terms([
        [0, 1, 2],
        [1, 2, 3],
        [2, 3, 4],
      ]),
    );
    expect(steps.map((step) => step.kind)).toEqual(['pair', 'direct']);
    expect(steps[0]).toMatchObject({ first: 0, second: 1, inputs: [0, 1, 2, 3] });
  });

  it('pairs in the reverse order of an adjoint', () => {
    const steps = schedule(
      terms([
        [2, 1, 0],
        [3, 2, 1],
      ]),
    );
    expect(steps).toEqual([{ kind: 'pair', first: 1, second: 0, inputs: [3, 2, 1, 0] }]);
  });

  it('sums the taps that see one frame', () => {
    const [step] = schedule(terms([[0, 0, 1]]));
    expect(step).toEqual({
      kind: 'direct',
      output: 0,
      terms: [
        { input: 0, taps: [0, 1] },
        { input: 1, taps: [2] },
      ],
    });
  });
});
