import { afterAll, describe, expect, it } from 'vitest';
import * as g from '../../src/graph/index.ts';
import { createRuntime, GRADIENT_PREFIX, type Runtime, type TrainerState } from '../../src/runtime/index.ts';
import { floats } from '../../src/tensor/host-tensor.ts';
import { randomStream } from '../../src/tensor/random.ts';
import { type Shape, sizeOf } from '../../src/tensor/shape.ts';
import { findAdapter } from './adapter.ts';

const adapter = await findAdapter();
Object.assign(process.env, adapter?.environment);

const cpu = createRuntime({ threads: 1 });
const gpu = createRuntime({ backend: 'webgpu', threads: 1 });
afterAll(async () => {
  await cpu.close();
  await gpu.close();
});

const TENSORS = [
  { name: 'w', shape: [24, 16], group: 'one' },
  { name: 'b', shape: [24], group: 'one' },
  { name: 'unused', shape: [3], group: 'one' },
  { name: 'v', shape: [5, 24], group: 'two' },
];
const OPTIMIZER = {
  betas: [0.9, 0.95],
  epsilon: 1e-8,
  weightDecay: 0.05,
  maxGradientNorm: 0.5,
  groupRates: { two: 0.3 },
} as const;

const random = (name: string, shape: Shape) => floats(shape, randomStream(7, name).normals(sizeOf(shape)));
const START = new Map(TENSORS.map(({ name, shape }) => [name, random(name, shape)]));

function objective(batch: number): g.Program {
  const [w, b, v] = [g.input('w', [24, 16]), g.input('b', [24]), g.input('v', [5, 24])];
  const hidden = g.geluTanh(g.linear(g.input('x', [batch, 16]), w, b));
  const loss = g.mean(g.square(g.sub(g.linear(hidden, v), g.input('y', [batch, 5]))));
  const learned = { w, b, v };
  const found = g.gradients(loss, Object.values(learned));
  const gradients = Object.keys(learned).map((name, i) => [GRADIENT_PREFIX + name, found[i]!]);
  return g.program('objective', { loss, ...Object.fromEntries(gradients) });
}

const batchOf = (step: number, size: number) => ({
  x: random(`x ${step}`, [size, 16]),
  y: random(`y ${step}`, [size, 5]),
});

/** Steps of two programs of different batch, with micro-batches and groups that take turns. */
async function train(runtime: Runtime, from: number, to: number, state?: TrainerState) {
  const trainer = await runtime.createTrainer({ tensors: TENSORS, optimizer: OPTIMIZER, averageDecay: 0.9 });
  await trainer.load(state ?? { parameters: START });
  const [small, large] = [
    await runtime.compile(objective(2), { trainer }),
    await runtime.compile(objective(6), { trainer }),
  ];
  const reports: number[] = [];
  for (let step = from; step < to; step++) {
    const size = step % 2 === 0 ? 2 : 6;
    const { outputs, gradientNorm, clippedBy } = await (size === 2 ? small : large).trainStep({
      microBatches: [batchOf(step, size), batchOf(step + 100, size)].slice(0, 1 + (step % 3 === 0 ? 1 : 0)),
      learningRate: 0.01 / (1 + step),
      ...(step % 4 === 3 && { activeGroups: ['two'] }),
    });
    reports.push(Number(outputs[0].loss.data[0]), gradientNorm, clippedBy);
  }
  const broken = batchOf(0, 2);
  broken.x.data[3] = Number.NaN;
  await expect(small.trainStep({ microBatches: [broken], learningRate: 1 })).rejects.toThrow(/finite/);
  const forward = await small.run(batchOf(9, 2));
  reports.push(Number(forward.loss.data[0]));
  const end = await trainer.read();
  await trainer.release();
  return { reports, end };
}

const tablesOf = ({ parameters, optimizer, average }: TrainerState) => [
  ...parameters,
  ...optimizer,
  ...[...average!].map(([name, tensor]) => [`average ${name}`, tensor] as const),
];

if (!adapter) it.skip('the state on the device was not tested: there is no WebGPU adapter', () => {});
else {
  describe('a trainer whose state stays on the device', () => {
    it('equals the CPU trainer to rounding', async () => {
      const [here, there] = [await train(cpu, 0, 8), await train(gpu, 0, 8)];
      for (const [i, value] of here.reports.entries()) {
        expect(Math.abs(there.reports[i] - value), `report ${i}`).toBeLessThan(1e-5 * (1 + Math.abs(value)));
      }
      const found = new Map(tablesOf(there.end));
      for (const [name, tensor] of tablesOf(here.end)) {
        const other = found.get(name)!;
        expect(other.shape, name).toEqual(tensor.shape);
        for (const [i, value] of [...tensor.data].entries()) {
          const difference = Math.abs(Number(other.data[i]) - Number(value));
          expect(difference, `${name} ${i}`).toBeLessThan(2e-5);
        }
      }
      expect(found.get('unused')!.data).toEqual(START.get('unused')!.data);
      expect(found.get('w.step')!.data[0]).toBe(6n);
    });

    it('goes on bit by bit from a state that was read', async () => {
      const whole = await train(gpu, 0, 6);
      const half = await train(gpu, 0, 3);
      const rest = await train(gpu, 3, 6, half.end);
      expect(rest.end).toEqual(whole.end);
    });
  });
}
