import { expect, it } from 'vitest';
import { AdamW } from '../../src/runtime/optimizer/adamw.ts';
import { ParameterArena, type TrainableTensor } from '../../src/runtime/optimizer/parameter-arena.ts';
import { describeGolden, expectClose, type Golden } from './golden.ts';

interface Training {
  readonly optimizer: {
    readonly lr: number;
    readonly betas: [number, number];
    readonly eps: number;
    readonly weight_decay: number;
    readonly max_grad_norm: number;
  };
  readonly trainable: readonly string[];
  readonly phases: Readonly<
    Record<
      'motion' | 'id',
      { readonly no_grad_at_all: readonly string[]; readonly masked_after_backward: readonly string[] }
    >
  >;
}

const groupOf = (name: string): string => /\.(id|motion)_(attn|ff)_adapter\./.exec(name)?.[1] ?? 'controller';
const GROUPS = ['id', 'motion', 'controller'];

/** The optimizer of the reference run over the parameters it started from, its gradients in place. */
async function prepare(golden: Golden, phase: 'motion' | 'id') {
  const training = golden.json<Training>('train.json');
  const start = await golden.tensors('model.safetensors');
  const gradients = await golden.tensors(`train_${phase}_grads.safetensors`);
  const trainable: TrainableTensor[] = GROUPS.flatMap((group) =>
    training.trainable
      .filter((name) => groupOf(name) === group)
      .map((name) => ({ name, shape: start.get(name).shape, group })),
  );
  const arena = new ParameterArena(trainable);
  arena.loadParameters(new Map(trainable.map(({ name }) => [name, start.get(name)])));
  for (const [name, gradient] of gradients) arena.gradientOf(name).set(gradient.data as Float32Array);
  const { betas, eps, weight_decay, max_grad_norm } = training.optimizer;
  const settings = { betas, epsilon: eps, weightDecay: weight_decay, maxGradientNorm: max_grad_norm };
  return { training, start, trainable, arena, optimizer: new AdamW(arena, settings) };
}

describeGolden('dualreal-transformer', (golden) => {
  it.each(['motion', 'id'] as const)('one AdamW step from the reference gradients: %s', async (phase) => {
    const { training, start, trainable, arena, optimizer } = await prepare(golden, phase);
    const { no_grad_at_all, masked_after_backward } = training.phases[phase];
    const skipped = new Set([...no_grad_at_all, ...masked_after_backward]);
    const { gradientNorm, clippedBy } = optimizer.step({
      learningRate: training.optimizer.lr,
      activeGroups: [phase, 'controller'],
      withoutGradient: no_grad_at_all,
    });

    const expectedNorm = (await golden.tensors('train_io.safetensors')).numbers(`${phase}.out.grad_norm`)[0];
    // The reference accumulates its norm in f32.
    expectClose([gradientNorm], [expectedNorm], { rel: 1e-6 }, `${phase} gradient norm`);

    const after = await golden.tensors(`train_${phase}_params_after.safetensors`);
    let compared = 0;
    for (const { name } of trainable) {
      const got = arena.parameterOf(name);
      const want = after.numbers(name);
      if (skipped.has(name)) {
        expect([...got], `${name} is untouched`).toEqual(want);
        expect(start.numbers(name), `${name} is untouched in the reference`).toEqual(want);
        expect(optimizer.stepsOf(name)).toBe(0);
        continue;
      }
      // The first step is about lr·sign(g): where g is rounding noise, so is the step.
      const meaningful = [...arena.gradientOf(name).keys()].filter(
        (i) => Math.abs(arena.gradientOf(name)[i] * clippedBy) > 1e-5,
      );
      compared += meaningful.length;
      const pick = (values: ArrayLike<number>) => meaningful.map((i) => values[i]);
      expectClose(pick(got), pick(want), { abs: 2e-6 }, name);
      expect(optimizer.stepsOf(name)).toBe(1);
    }
    const taking = trainable.filter(({ name }) => !skipped.has(name)).map(({ name }) => start.get(name));
    const total = taking.reduce((sum, { data }) => sum + data.length, 0);
    expect(compared).toBeGreaterThan(0.5 * total);
  });
});
