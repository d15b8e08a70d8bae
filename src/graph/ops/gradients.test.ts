import { afterAll, describe, expect, it } from 'vitest';
import { createRuntime } from '../../runtime/runtime.ts';
import { floats, type HostTensor } from '../../tensor/host-tensor.ts';
import { randomStream } from '../../tensor/random.ts';
import { sameShape } from '../../tensor/shape.ts';
import { FORWARD_TOLERANCE } from '../op-sampler.cases.ts';
import { allCases, computingOps, type OpTrial, opTrial, resultName } from '../op-trial.cases.ts';

const SAMPLES = 8;
const DIRECTIONS = 3;

/**
 * Step of the five-point rule. Its truncation error is h⁴/30 of the fifth derivative, ~1e-8 here; rounding
 * gives 6e-8·1.5/h, ~5e-6. What a wrong rule gets wrong is of the order of the terms themselves.
 */
const STEP = 0.02;
/** Relative to Σ |gradient·direction|, plus the rounding of results of size ~10 divided by the step. */
const RELATIVE_TOLERANCE = 3e-4;
const ABSOLUTE_TOLERANCE = 3e-4;

const cases = await allCases();
const runtime = createRuntime({ inline: true, threads: 1 });
afterAll(() => runtime.close());

describe('the table of sample generators', () => {
  it('has every op, and no op that does not exist', () => {
    const names = computingOps().map((op) => op.name);
    expect([...cases.keys()].sort()).toEqual([...names].sort());
  });
});

describe.each(computingOps().filter((op) => cases.has(op.name)))('op $name', (op) => {
  const trial = opTrial(op, cases.get(op.name)!, SAMPLES);
  const compiled = runtime.compile(trial.program);
  const computed = compiled.then((executable) => executable.run(trial.feeds));
  // A failure belongs to the tests, not to the collection of them.
  computed.catch(() => {});

  it('computes what the plain reference computes', async () => {
    const results = await computed;
    for (const [i, { outputs, leaves, tolerance = FORWARD_TOLERANCE }] of trial.samples.entries()) {
      for (const [j, { expected }] of outputs.entries()) {
        const actual = results[resultName(i, j)];
        const context = `sample ${i}, operands ${leaves.map((leaf) => `[${leaf.shape}]`).join(' ')}`;
        expect(sameShape(actual.shape, expected.shape), `${context}: shape [${actual.shape}]`).toBe(true);
        for (let k = 0; k < expected.data.length; k++) {
          const error = Math.abs(Number(actual.data[k]) - expected.data[k]);
          const bound = tolerance * Math.max(1, Math.abs(expected.data[k]));
          if (error <= bound) continue;
          expect.fail(`${context}, element ${k}: ${actual.data[k]}, expected ${expected.data[k]}`);
        }
      }
    }
  });

  if (!op.backward) return;

  it('has the gradients that finite differences show', async () => {
    expect(trial.withoutGradient).toEqual([]);
    const analytic = await computed;
    const executable = await compiled;
    for (let direction = 0; direction < DIRECTIONS; direction++) {
      const moves = directions(trial, direction);
      const slopes = new Float64Array(trial.samples.length);
      for (const [steps, factor] of [
        [1, 8],
        [-1, -8],
        [2, -1],
        [-2, 1],
      ]) {
        const results = await executable.run(moved(trial, moves, steps * STEP));
        for (const [i] of trial.samples.entries()) {
          slopes[i] += (factor * objective(trial, results, i)) / (12 * STEP);
        }
      }
      for (const [i, { leaves }] of trial.samples.entries()) {
        let predicted = 0;
        let scale = 0;
        for (const { name, differentiable } of leaves) {
          if (!differentiable) continue;
          const gradient = analytic[`gradient ${name}`].data as Float32Array;
          const move = moves.get(name)!;
          for (const [k, value] of gradient.entries()) {
            predicted += value * move[k];
            scale += Math.abs(value * move[k]);
          }
        }
        const bound = RELATIVE_TOLERANCE * scale + ABSOLUTE_TOLERANCE;
        const context = `sample ${i}, operands ${leaves.map((leaf) => `[${leaf.shape}]`).join(' ')}`;
        expect(Math.abs(predicted - slopes[i]), `${context}: ${predicted} for ${slopes[i]}`).toBeLessThan(
          bound,
        );
      }
    }
  });

  it('gives the same gradient when an operand is the only one wanted', async () => {
    const results = await computed;
    for (const { leaves } of trial.samples) {
      for (const { name, shape, differentiable } of leaves) {
        if (!differentiable) continue;
        const gradient = results[`gradient ${name}`];
        expect(gradient.shape, name).toEqual([...shape]);
        expect(results[`alone ${name}`], name).toEqual(gradient);
      }
    }
  });
});

/** Σ r·y of one sample, in f64. */
function objective(trial: OpTrial, results: Record<string, HostTensor>, sample: number): number {
  let total = 0;
  for (const [j] of trial.samples[sample].outputs.entries()) {
    const name = resultName(sample, j);
    const weighting = trial.weightings.get(name)!.data;
    for (const [k, value] of (results[name].data as Float32Array).entries()) total += value * weighting[k];
  }
  return total;
}

/** A random direction for every differentiable operand, each component in [−1, 1). */
function directions(trial: OpTrial, index: number): ReadonlyMap<string, Float32Array> {
  const random = randomStream(7, 'direction', trial.program.name, index);
  const moves = new Map<string, Float32Array>();
  for (const { name, differentiable, data } of trial.samples.flatMap(({ leaves }) => leaves)) {
    if (differentiable)
      moves.set(
        name,
        Float32Array.from(data, () => 2 * random.uniform() - 1),
      );
  }
  return moves;
}

/** The feeds, moved along a direction. */
function moved(trial: OpTrial, moves: ReadonlyMap<string, Float32Array>, distance: number) {
  const feeds = { ...trial.feeds };
  for (const [name, move] of moves) {
    const { shape, data } = feeds[name];
    feeds[name] = floats(
      shape,
      move.map((component, k) => Number(data[k]) + distance * component),
    );
  }
  return feeds;
}
