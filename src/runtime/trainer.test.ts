import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import * as g from '../graph/index.ts';
import { DualrealError, ShapeError } from '../tensor/errors.ts';
import { type FloatTensor, floats, type HostTensor, integers } from '../tensor/host-tensor.ts';
import { randomStream } from '../tensor/random.ts';
import { readSafetensorsHeader, writeSafetensorsFile } from '../tensor/safetensors.ts';
import { type Shape, sizeOf } from '../tensor/shape.ts';
import { createRuntime, type Executable, type Trainer } from './runtime.ts';
import { GRADIENT_PREFIX, NonFiniteLossError, type TrainerState } from './training.ts';
import { fileVersion } from './weight-table.ts';

const runtime = createRuntime({ threads: 1 });
afterAll(() => runtime.close());

const TENSORS = [
  { name: 'w', shape: [3, 4], group: 'identity' },
  { name: 'b', shape: [3], group: 'identity' },
  { name: 'unused', shape: [2], group: 'identity' },
  { name: 'm', shape: [3], group: 'motion' },
];
const OPTIMIZER = { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.01 } as const;

const random = (name: string, shape: Shape) => floats(shape, randomStream(11, name).normals(sizeOf(shape)));
const START = new Map(TENSORS.map(({ name, shape }) => [name, random(name, shape)]));

/** Mean square of m∘(x·wᵀ + b) − target over a batch, with the gradients of all but `unused`. */
function objective(batch: number) {
  const [w, b, m] = [g.input('w', [3, 4]), g.input('b', [3]), g.input('m', [3])];
  const y = g.mul(g.linear(g.input('x', [batch, 4]), w, b), m);
  const loss = g.mean(g.square(g.sub(y, g.input('target', [batch, 3]))));
  const [dw, db, dm] = g.gradients(loss, [w, b, m]);
  const outputs = { loss, [`${GRADIENT_PREFIX}w`]: dw!, [`${GRADIENT_PREFIX}b`]: db! };
  return g.program('objective', { ...outputs, [`${GRADIENT_PREFIX}m`]: dm!, y });
}

const batchOf = (name: string, batch: number) => ({
  x: random(`${name} x`, [batch, 4]),
  target: random(`${name} target`, [batch, 3]),
});

async function start(averageDecay?: number): Promise<Trainer> {
  const averaging = averageDecay === undefined ? {} : { averageDecay };
  const trainer = await runtime.createTrainer({ tensors: TENSORS, optimizer: OPTIMIZER, ...averaging });
  await trainer.load({ parameters: START });
  return trainer;
}

let trainer: Trainer;
let step: Executable;
beforeEach(async () => {
  trainer = await start();
  step = await runtime.compile(objective(2), { trainer });
});

describe('a training step', () => {
  it('moves what has a gradient and learns, and returns the other outputs', async () => {
    const request = { microBatches: [batchOf('one', 2)], learningRate: 0.1, activeGroups: ['identity'] };
    const { outputs, gradientNorm, clippedBy } = await step.trainStep(request);
    expect(Object.keys(outputs[0]).sort()).toEqual(['loss', 'y']);
    expect(gradientNorm).toBeGreaterThan(0);
    expect(clippedBy).toBe(1);
    const { parameters, optimizer } = await trainer.read();
    expect(parameters.get('w')).not.toEqual(START.get('w'));
    // No gradient, or no active group: not even weight decay.
    expect(parameters.get('unused')).toEqual(START.get('unused'));
    expect(parameters.get('m')).toEqual(START.get('m'));
    const steps = TENSORS.map(({ name }) => Number(optimizer.get(`${name}.step`)!.data[0]));
    expect(steps).toEqual([1, 1, 0, 0]);
  });

  it('runs forward with the parameters it has learned', async () => {
    const forward = await runtime.compile(objective(2), { trainer });
    const batch = batchOf('one', 2);
    const before = (await forward.run(batch)).loss.data[0];
    for (let i = 0; i < 20; i++) await step.trainStep({ microBatches: [batch], learningRate: 0.05 });
    const after = (await forward.run(batch)).loss.data[0];
    expect(after).toBeLessThan(before as number);
    const { parameters } = await trainer.read();
    const given = await forward.run({ ...batch, ...Object.fromEntries([...parameters].slice(0, 2)) });
    expect(given.loss.data[0]).toBe(after);
  });

  it('may return a parameter as it is', async () => {
    const w = g.input('w', [3, 4]);
    const executable = await runtime.compile(g.program('p', { w, twice: g.mul(w, 2) }), { trainer });
    const results = await executable.run({});
    expect(results.w).toEqual(START.get('w'));
    await step.trainStep({ microBatches: [batchOf('one', 2)], learningRate: 0.1 });
    expect((await executable.run({})).w).toEqual((await trainer.read()).parameters.get('w'));
    expect(results.w).toEqual(START.get('w'));
  });

  it('with micro-batches has the gradient of the whole batch', async () => {
    const parts = ['a', 'b', 'c'].map((name) => batchOf(name, 2));
    const join = (key: 'x' | 'target', width: number) =>
      floats(
        [6, width],
        parts.flatMap((part) => [...part[key].data]),
      );
    const whole = { x: join('x', 4), target: join('target', 3) };
    const other = await start();
    const big = await runtime.compile(objective(6), { trainer: other });
    const request = { learningRate: 0.1 };
    const inParts = await step.trainStep({ ...request, microBatches: parts });
    const atOnce = await big.trainStep({ ...request, microBatches: [whole] });

    expect(inParts.outputs).toHaveLength(3);
    const losses = inParts.outputs.map(({ loss }) => Number(loss.data[0]));
    const mean = losses.reduce((sum, loss) => sum + loss, 0) / 3;
    expect(mean).toBeCloseTo(Number(atOnce.outputs[0].loss.data[0]), 5);
    expect(inParts.gradientNorm / atOnce.gradientNorm).toBeCloseTo(1, 5);
    // The first moment is a tenth of the gradient: it shows every element, where Adam's step shows signs.
    const [left, right] = [await trainer.read(), await other.read()];
    for (const name of ['w', 'b', 'm']) {
      const [a, b] = [left, right].map((state) => state.optimizer.get(`${name}.exp_avg`) as FloatTensor);
      const scale = Math.max(...b.data.map(Math.abs));
      for (const [i, value] of a.data.entries()) {
        expect(Math.abs(value - b.data[i]) / scale, `${name} ${i}`).toBeLessThan(1e-5);
      }
    }
  });

  it('changes nothing where the loss is not finite or there is no batch', async () => {
    const { x, target } = batchOf('one', 2);
    const broken = {
      x: floats(
        [2, 4],
        x.data.map((value, i) => (i === 3 ? Number.NaN : value)),
      ),
      target,
    };
    const before = await trainer.read();
    const failing = step.trainStep({ microBatches: [{ x, target }, broken], learningRate: 0.1 });
    await expect(failing).rejects.toThrow(NonFiniteLossError);
    await expect(step.trainStep({ microBatches: [], learningRate: 0.1 })).rejects.toThrow(/one micro-batch/);
    expect(await trainer.read()).toEqual(before);
  });

  it('is refused without a trainer, and with one that does not fit', async () => {
    const untrained = await runtime.compile(objective(2));
    const used = [...START].filter(([name]) => name !== 'unused');
    const inputs = { ...batchOf('one', 2), ...Object.fromEntries(used) };
    const request = { microBatches: [inputs], learningRate: 0.1 };
    await expect(untrained.trainStep(request)).rejects.toThrow(/a session with a trainer/);

    const small = await runtime.createTrainer({ tensors: TENSORS.slice(1), optimizer: OPTIMIZER });
    await expect(runtime.compile(objective(2), { trainer: small })).rejects.toThrow(
      /output gradient:w .*expected the gradient of a trainable tensor/,
    );
    const turned = TENSORS.map((tensor) => (tensor.name === 'w' ? { ...tensor, shape: [4, 3] } : tensor));
    const other = await runtime.createTrainer({ tensors: turned, optimizer: OPTIMIZER });
    await expect(runtime.compile(objective(2), { trainer: other })).rejects.toThrow(
      /trainable tensor w .*expected f32\[4, 3\], got f32\[3, 4\]/,
    );
  });

  it('names an input that neither the caller nor the trainer has', async () => {
    const { x } = batchOf('one', 2);
    const failing = step.trainStep({ microBatches: [{ x }], learningRate: 0.1 });
    await expect(failing).rejects.toThrow(
      /input target of program objective: expected f32\[2, 3\], got nothing/,
    );
  });
});

describe('the state of a trainer', () => {
  it('continues bit for bit where it was read', async () => {
    const batches = Array.from({ length: 6 }, (_, i) => batchOf(`step ${i}`, 2));
    const run = async (executable: Executable, from: number, to: number) => {
      for (let i = from; i < to; i++) {
        await executable.trainStep({ microBatches: [batches[i]], learningRate: 0.05 });
      }
    };
    const averaged = await start(0.9);
    const uninterrupted = await runtime.compile(objective(2), { trainer: averaged });
    await run(uninterrupted, 0, 3);
    const saved = await averaged.read();
    await run(uninterrupted, 3, 6);

    const resumed = await start(0.9);
    await resumed.load(saved as TrainerState);
    await run(await runtime.compile(objective(2), { trainer: resumed }), 3, 6);
    expect(await resumed.read()).toEqual(await averaged.read());
    expect((await averaged.read()).average!.get('w')).not.toEqual(saved.average!.get('w'));
  });

  it('is loaded whole or not at all', async () => {
    const averaged = await start(0.9);
    const executable = await runtime.compile(objective(2), { trainer: averaged });
    await executable.trainStep({ microBatches: [batchOf('one', 2)], learningRate: 0.1 });
    const state = await averaged.read();
    const other = new Map([...START].map(([name, { shape }]) => [name, random(`other ${name}`, shape)]));

    const withoutStep = new Map([...state.optimizer].filter(([name]) => name !== 'm.step'));
    const negative = new Map(state.optimizer).set('m.step', integers([], [-1]));
    const shortAverage = new Map([...other].slice(1));
    const missing = new Map([...other].slice(1));
    for (const [attempt, message] of [
      [{ parameters: missing }, /w is missing/],
      [{ parameters: other, optimizer: withoutStep }, /optimizer state.*m\.step is missing/],
      [{ parameters: other, optimizer: negative }, /counts ≥ 0/],
      [{ parameters: other, average: shortAverage }, /moving average.*w is missing/],
      [{ parameters: missing, optimizer: new Map(state.optimizer), average: other }, /w is missing/],
    ] as const) {
      await expect(averaged.load(attempt)).rejects.toThrow(message);
      expect(await averaged.read()).toEqual(state);
    }
    await expect(averaged.load({ parameters: missing })).rejects.toThrow(ShapeError);
    // A trainer without an average does not drop one silently.
    await expect(trainer.load({ parameters: other, average: other })).rejects.toThrow(DualrealError);
    expect((await trainer.read()).parameters).toEqual(START);
  });

  it('is read from regions of a file as from memory, unless the file was replaced', async () => {
    const averaged = await start(0.9);
    const executable = await runtime.compile(objective(2), { trainer: averaged });
    await executable.trainStep({ microBatches: [batchOf('one', 2)], learningRate: 0.1 });
    const state = await averaged.read();
    const folder = mkdtempSync(join(tmpdir(), 'trainer-'));
    const save = async (name: string, tensors: ReadonlyMap<string, HostTensor>) => {
      const path = join(folder, name);
      await writeSafetensorsFile(path, tensors);
      const { entries } = await readSafetensorsHeader(path);
      const version = fileVersion(path);
      return new Map([...entries].map(([key, entry]) => [key, { file: path, version, ...entry }]));
    };
    try {
      const [parameters, optimizer, average] = [
        await save('parameters', state.parameters),
        await save('optimizer', state.optimizer),
        await save('average', state.average!),
      ];
      const resumed = await start(0.9);
      await resumed.load({ parameters, optimizer, average });
      expect(await resumed.read()).toEqual(state);

      const fresh = await start(0.9);
      const before = await fresh.read();
      await save('average', new Map([...state.average!].reverse()));
      await expect(fresh.load({ parameters, optimizer, average })).rejects.toThrow(
        /the file that was opened/,
      );
      expect(await fresh.read()).toEqual(before);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('is gone after its release', async () => {
    await trainer.release();
    await expect(trainer.read()).rejects.toThrow(/an open trainer/);
  });
});
