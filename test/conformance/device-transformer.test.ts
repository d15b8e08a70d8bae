import { afterAll, expect, it } from 'vitest';
import { createRuntime, type Runtime, type Tensors } from '../../src/runtime/index.ts';
import { floats, type HostTensor, hostTensor } from '../../src/tensor/host-tensor.ts';
import { randomStream } from '../../src/tensor/random.ts';
import { type Shape, sizeOf } from '../../src/tensor/shape.ts';
import { transformerObjective } from '../../src/toybox/pretrain/transformer/objective.ts';
import { TransformerSession } from '../../src/toybox/pretrain/transformer/session.ts';
import { transformerConfig, transformerVariant } from '../../src/toybox/pretrain/transformer/variants.ts';
import { findAdapter } from './adapter.ts';

const adapter = await findAdapter();
Object.assign(process.env, adapter?.environment);

const variant = transformerVariant('tiny');
const config = transformerConfig(variant, {
  latentChannels: 4,
  spatialCompression: 16,
  temporalCompression: 4,
});

const random = (path: string, shape: Shape, scale = 1) =>
  floats(
    shape,
    randomStream(3, path)
      .normals(sizeOf(shape))
      .map((value) => value * scale),
  );

function batchOf(step: number, batch: number, latentFrames: number): Tensors {
  const shape = [batch, latentFrames, config.latentChannels, 4, 4];
  const perSample = [batch, 1, 1, 1, 1];
  const ids = randomStream(4, step).permutation(batch * config.textTokens);
  return {
    latents: random(`latents ${step}`, shape),
    noise: random(`noise ${step}`, shape),
    signal: floats(perSample, new Float32Array(batch).fill(0.6)),
    sigma: floats(perSample, new Float32Array(batch).fill(0.8)),
    timestep: floats([batch], new Float32Array(batch).fill(500)),
    ids: hostTensor('i64', [batch, config.textTokens], BigInt64Array.from(ids, BigInt)),
    weight: floats([batch, latentFrames, 1, 4, 4], new Float32Array(batch * latentFrames * 16).fill(1)),
  };
}

async function train(runtime: Runtime) {
  const { weights } = transformerObjective(config, { batch: 1, latentFrames: 1, side: 4 }).program;
  const text = new Map<string, HostTensor>(
    [...weights].map(([name, { shape }]) => [name, random(name, shape, 1 / Math.sqrt(shape.at(-1)!))]),
  );
  const options = { seed: 1, microBatches: 1 };
  const session = await TransformerSession.open(runtime, config, variant, text, options);
  const losses: number[] = [];
  for (const [step, kind] of (['images', 'clips', 'images', 'clips'] as const).entries()) {
    const [size, latentFrames] = kind === 'images' ? [variant.imageBatch, 1] : [variant.recipe.batch, 3];
    losses.push((await session.step(kind, step, [batchOf(step, size, latentFrames)])).loss);
  }
  return { losses, state: await session.state() };
}

const test = adapter ? it : it.skip;

test('the transformer is trained on the device as on the CPU', async () => {
  const [cpu, gpu] = [createRuntime({ threads: 1 }), createRuntime({ backend: 'webgpu', threads: 1 })];
  afterAll(async () => {
    await cpu.close();
    await gpu.close();
  });
  const [here, there] = [await train(cpu), await train(gpu)];
  for (const [i, loss] of here.losses.entries()) {
    expect(Math.abs(there.losses[i] - loss), `loss ${i}`).toBeLessThan(1e-4 * loss);
  }
  // Adam turns a gradient of rounding errors into a whole step: its bound is the sum of the rates.
  for (const [name, { data }] of here.state) {
    if (name.startsWith('optimizer/') || name.startsWith('average/')) continue;
    const other = there.state.get(name)!;
    let [sum, worst] = [0, 0];
    for (const [i, value] of [...(data as Float32Array)].entries()) {
      const difference = Math.abs(Number(other.data[i]) - value);
      sum += difference / data.length;
      worst = Math.max(worst, difference);
    }
    expect(worst, name).toBeLessThan(4e-3);
    if (!/to_k\.bias|norm_k\.bias/.test(name)) expect(sum, name).toBeLessThan(1e-4);
  }
});
