import { afterAll, describe, expect, it } from 'vitest';
import { createRuntime, type Tensors } from '../runtime/index.ts';
import type { FloatTensor } from '../tensor/host-tensor.ts';
import { DUALREAL_PRESETS } from './dualreal/index.ts';
import { type Method, openMethod, type Stage } from './index.ts';
import { exampleWeight, inputsOf, randomTensor, tinyBatch, tinyConfig } from './trial.cases.ts';

const dualreal = { options: { ...DUALREAL_PRESETS.clean, bottleneck: 8, conditionDim: 12, groups: 2 } };
const cases: [Method['name'], string, object, number][] = [
  ['dualreal', 'masked', dualreal, 1e-2],
  ['dualreal', 'isolated', { options: { ...dualreal.options, groups: 0 }, training: 'isolated' }, 1e-2],
  ['lora', '', { rank: 4, alpha: 4 }, 1e-2],
  ['full', '', {}, 1e-3],
  ['dreamvideo', '', { conditionDim: 12 }, 1e-2],
  ['motionbooth', 'full', {}, 1e-3],
  ['motionbooth', 'lora', { tune: 'lora', lora: { rank: 4, alpha: 4 } }, 1e-2],
];
const STEPS = 12;

const runtime = createRuntime({ inline: true, threads: 1 });
afterAll(() => runtime.close());

const base = async (name: string) => exampleWeight(name, baseShapes.get(name)!.shape);
const baseShapes = openMethod('full', {}).parameters(tinyConfig);

describe('every method learns one batch by heart, stage by stage', () => {
  it.each(cases)('%s %s', async (name, _variant, options, learningRate) => {
    const method = openMethod(name, options);
    const classWord = async () => randomTensor('dog', [tinyConfig.textDim]);
    let trained = await method.initial(tinyConfig, { seed: 1, base, classWord });
    for (const stage of method.stages) {
      const { losses, after } = await train(method, stage, trained, learningRate);
      for (const [phase, [first, last]] of losses) {
        expect(last, `${stage.name}, ${phase}: from ${first}`).toBeLessThan(first * 0.99);
      }
      for (const [parameter, tensor] of trained) {
        const isHeld = stage.groups.includes(method.parameters(tinyConfig).get(parameter)!.group);
        if (!isHeld) expect(after.get(parameter), parameter).toBe(tensor);
      }
      trained = after;
    }
  });
});

/** Phases in turn on one batch each; the first and the last loss of each. */
async function train(
  method: Method,
  { name: stage, groups, phases, recipe }: Stage,
  trained: ReadonlyMap<string, FloatTensor>,
  learningRate: number,
) {
  const declared = [...method.parameters(tinyConfig)].filter(([, { group }]) => groups.includes(group));
  const trainer = await runtime.createTrainer({
    tensors: declared.map(([name, { shape, group }]) => ({ name, shape, group })),
    optimizer: {
      betas: recipe.betas,
      epsilon: 1e-8,
      weightDecay: recipe.weightDecay,
      ...(recipe.maxGradientNorm !== undefined && { maxGradientNorm: recipe.maxGradientNorm }),
    },
  });
  await trainer.load({ parameters: new Map(declared.map(([name]) => [name, trained.get(name)!])) });
  const compiled = await Promise.all(
    phases.map(async ({ name: phase, learning, condition, masks = false }) => {
      const shape = { ...tinyBatch, conditioned: condition !== undefined, masked: masks };
      const program = method.objective({ config: tinyConfig, stage, phase, shape });
      const weights = new Map(
        [...program.weights].map(([name, value]) => [
          name,
          trained.get(name) ?? exampleWeight(name, value.shape),
        ]),
      );
      const executable = await runtime.compile(program, { weights, trainer });
      const resident = new Set(declared.map(([name]) => name));
      const inputs: Tensors = Object.fromEntries(
        Object.entries(inputsOf(program)).filter(([name]) => !resident.has(name)),
      );
      return { phase, executable, inputs, learning };
    }),
  );
  const losses = new Map<string, [number, number]>();
  for (let step = 0; step < STEPS * phases.length; step++) {
    const { phase, executable, inputs, learning } = compiled[step % phases.length];
    const { outputs } = await executable.trainStep({
      microBatches: [inputs],
      learningRate,
      activeGroups: learning,
    });
    const loss = Number(outputs[0].loss.data[0]);
    losses.set(phase, [losses.get(phase)?.[0] ?? loss, loss]);
  }
  const after = new Map(trained);
  for (const [name, tensor] of (await trainer.read()).parameters) after.set(name, tensor as FloatTensor);
  await Promise.all(compiled.map(({ executable }) => executable.release()));
  await trainer.release();
  return { losses, after };
}
