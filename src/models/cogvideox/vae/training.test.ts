import { afterAll, expect, it } from 'vitest';
import * as g from '../../../graph/index.ts';
import { Parameters } from '../../../nn/parameters.ts';
import { createRuntime } from '../../../runtime/index.ts';
import { floats, type HostTensor } from '../../../tensor/host-tensor.ts';
import { randomStream } from '../../../tensor/random.ts';
import { sizeOf } from '../../../tensor/shape.ts';
import { parseVaeConfig } from './config.ts';
import { vaeTrainingForward } from './training.ts';

const config = parseVaeConfig({
  block_out_channels: [4, 16],
  latent_channels: 3,
  layers_per_block: 1,
  norm_num_groups: 2,
  temporal_compression_ratio: 2,
});
const VIDEO = [2, 5, 3, 4, 4];
const NOISE = [2, 3, 3, 2, 2];
const runtime = createRuntime({ inline: true, threads: 1 });
afterAll(() => runtime.close());
const plain = compileStep(false);
// A failure belongs to the tests, not to the collection of them.
plain.catch(() => {});

/** The loss of a tiny training step with the gradient of every weight, and random values for all inputs. */
async function compileStep(checkpointed: boolean) {
  const parameters = new Parameters(() => true);
  const video = g.input('video', VIDEO);
  const noise = g.input('noise', NOISE);
  const result = vaeTrainingForward(config, parameters.root, video, noise, { checkpointed });
  const error = g.sum(g.square(g.sub(result.reconstruction, video)));
  const loss = g.add(error, g.sum(g.add(g.square(result.mean), g.exp(result.logvar))));
  const names = [...parameters.declared.keys()];
  const values = [...parameters.declared.values()].map(({ value }) => value);
  const outputs: Record<string, g.Value> = { loss };
  for (const [i, gradient] of g.gradients(loss, values).entries()) outputs[`d ${names[i]}`] = gradient!;
  const program = g.program('step', outputs);
  const feeds: Record<string, HostTensor> = {};
  for (const [name, { shape }] of program.inputs) {
    const values = randomStream(5, name).normals(sizeOf(shape));
    feeds[name] = floats(
      shape,
      values.map((value) => 0.3 * value),
    );
  }
  return { names, feeds, executable: await runtime.compile(program) };
}

it('every weight has the gradient that finite differences show', async () => {
  const { names, feeds, executable } = await plain;
  const analytic = await executable.run(feeds);
  const lossAt = async (moved: Record<string, HostTensor>) =>
    Number((await executable.run({ ...feeds, ...moved })).loss.data[0]);
  // One direction through all weights of a kind at a time.
  const kindOf = (name: string) => {
    const layer = /norm/.test(name) ? 'norms' : /sampler/.test(name) ? 'samplers' : 'convolutions';
    return `${layer} of the ${name.split('.')[0]}, ${name.split('.').at(-1)}`;
  };
  for (const kind of new Set(names.map(kindOf))) {
    const members = names.filter((name) => kindOf(name) === kind);
    const random = randomStream(6, kind);
    const directions = new Map(members.map((name) => [name, random.normals(feeds[name].data.length)]));
    let predicted = 0;
    for (const [name, direction] of directions) {
      const gradient = analytic[`d ${name}`].data as Float32Array;
      for (const [i, value] of gradient.entries()) {
        predicted += value * direction[i];
      }
    }
    const at = (distance: number) => {
      const moved = [...directions].map(([name, direction]) => {
        const { shape, data } = feeds[name] as { shape: readonly number[]; data: Float32Array };
        return [
          name,
          floats(
            shape,
            data.map((value, i) => value + distance * direction[i]),
          ),
        ] as const;
      });
      return lossAt(Object.fromEntries(moved));
    };
    const step = 2e-3;
    const near = (await at(step)) - (await at(-step));
    const far = (await at(2 * step)) - (await at(-2 * step));
    const slope = (8 * near - far) / (12 * step);
    // The loss is about 2000 in f32: differences of 1e-4 over a step of 2e-3.
    const bound = 5e-4 * Math.abs(predicted) + 0.1;
    expect(Math.abs(slope - predicted), `${kind}: ${predicted} for ${slope}`).toBeLessThan(bound);
  }
});

it('recomputing residual blocks changes no gradient', async () => {
  const [kept, recomputed] = [await plain, await compileStep(true)];
  const [expected, actual] = [
    await kept.executable.run(kept.feeds),
    await recomputed.executable.run(kept.feeds),
  ];
  for (const name of kept.names) expect(actual[`d ${name}`].data, name).toEqual(expected[`d ${name}`].data);
  await recomputed.executable.release();
});

it('refuses videos that would come back with another number of frames', () => {
  const { root } = new Parameters();
  const video = g.input('video', [1, 4, 3, 4, 4]);
  const trace = () => vaeTrainingForward(config, root, video, g.input('noise', [1, 2, 3, 2, 2]));
  expect(trace).not.toThrow();
  const odd = g.input('video', [1, 3, 3, 4, 4]);
  expect(() => vaeTrainingForward(config, root, odd, g.input('noise', [1, 2, 3, 2, 2]))).toThrow(
    /3 frames, of which 4/,
  );
});
