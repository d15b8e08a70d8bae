import { addNoise, type NoiseSchedule, noiseLevels, velocityTarget } from '../diffusion/index.ts';
import {
  type BatchShape,
  type Dimension,
  type DualRealOptions,
  dualRealObjective,
  type ParameterGroup,
  parameterGroup,
  traceDualReal,
} from '../methods/dualreal/index.ts';
import type { TransformerConfig } from '../models/cogvideox/transformer/index.ts';
import type {
  Executable,
  Runtime,
  Tensors,
  Trainer,
  TrainStepResult,
  WeightTable,
} from '../runtime/index.ts';
import { type FloatTensor, floats } from '../tensor/host-tensor.ts';
import { randomStream } from '../tensor/random.ts';
import { type Shape, sizeOf } from '../tensor/shape.ts';
import { type PlanSettings, planStep, type StepPlan } from './batch-plan.ts';
import { type ItemFeatures, rowOf, sampleLatents, stack } from './features.ts';

/** Which groups learn in a phase: the phase's adapters, and the controller always (release). */
export const LEARNING_GROUPS: Readonly<Record<Dimension, readonly ParameterGroup[]>> = {
  identity: ['identity', 'controller'],
  motion: ['motion', 'controller'],
};

function learningGroups(phase: Dimension, { groups }: DualRealOptions): readonly ParameterGroup[] {
  return LEARNING_GROUPS[phase].filter((group) => group !== 'controller' || groups > 0);
}

export interface TrainingSetup {
  readonly config: TransformerConfig;
  readonly options: DualRealOptions;
  readonly schedule: NoiseSchedule;
  readonly scalingFactor: number;
  readonly weights: WeightTable;
  readonly plan: PlanSettings;
  readonly features: Readonly<Record<Dimension, readonly ItemFeatures[]>>;
  readonly optimizer: {
    readonly weightDecay: number;
    readonly maxGradientNorm: number;
  };
  readonly recompute: boolean;
  readonly residence: 'fold' | 'mapped';
}

/** What one training step did. */
export interface StepReport {
  readonly plan: StepPlan;
  readonly loss: number;
  readonly gradientNorm: number;
  /** [B][n]. */
  readonly identityWeights: readonly (readonly number[])[];
}

/** AdamW's constants in the release. */
const BETAS = [0.9, 0.95] as const;
const EPSILON = 1e-8;

/** The compiled objectives of both phases over one set of trainable parameters. */
export class TrainingSession {
  readonly trainer: Trainer;
  /** Trainable parameters with their shapes, grouped as the optimizer holds them. */
  readonly parameters: ReadonlyMap<string, { readonly shape: Shape }>;
  private readonly setup: TrainingSetup;
  private readonly objectives: ReadonlyMap<Dimension, ReadonlyMap<boolean, Executable>>;

  private constructor(
    setup: TrainingSetup,
    trainer: Trainer,
    parameters: ReadonlyMap<string, { readonly shape: Shape }>,
    objectives: ReadonlyMap<Dimension, ReadonlyMap<boolean, Executable>>,
  ) {
    this.setup = setup;
    this.trainer = trainer;
    this.parameters = parameters;
    this.objectives = objectives;
  }

  static async open(runtime: Runtime, setup: TrainingSetup): Promise<TrainingSession> {
    const parameters = trainableParameters(setup.config, setup.options);
    const trainer = await runtime.createTrainer({
      tensors: [...parameters].map(([name, { shape }]) => ({ name, shape, group: parameterGroup(name)! })),
      optimizer: { betas: BETAS, epsilon: EPSILON, ...setup.optimizer },
    });
    const compile = (phase: Dimension, conditioned: boolean) =>
      runtime.compile(
        dualRealObjective(
          setup.config,
          setup.options,
          batchShape(setup, phase, conditioned),
          learningGroups(phase, setup.options),
          { checkpointBlocks: setup.recompute },
        ),
        {
          weights: setup.weights,
          trainer,
          residence: setup.residence,
        },
      );
    const motion = new Map([[true, await compile('motion', true)]]);
    if (setup.options.conditionDropout > 0) motion.set(false, await compile('motion', false));
    const identity = new Map([[false, await compile('identity', false)]]);
    return new TrainingSession(
      setup,
      trainer,
      parameters,
      new Map([['identity', identity] as const, ['motion', motion]]),
    );
  }

  /** Forward, backward and update of one step; everything random is a function of (seed, step). */
  async step(step: number, learningRate: number): Promise<StepReport> {
    const plan = planStep(this.setup.plan, step);
    const { executable, inputs } = this.prepare(plan);
    const activeGroups = learningGroups(plan.phase, this.setup.options);
    const result = await executable.trainStep({ microBatches: [inputs], learningRate, activeGroups });
    return report(plan, result);
  }

  /** Milliseconds of one forward and backward of each phase, without any update, after one to warm up. */
  async rehearse(clock: () => number): Promise<Readonly<Record<Dimension, number>>> {
    const measure = async (motionRatio: number) => {
      const { executable, inputs } = this.prepare(planStep({ ...this.setup.plan, motionRatio }, 0));
      const request = { microBatches: [inputs], learningRate: 0, activeGroups: [] };
      await executable.trainStep(request);
      const started = clock();
      await executable.trainStep(request);
      return clock() - started;
    };
    return { identity: await measure(0), motion: await measure(1) };
  }

  private prepare(plan: StepPlan): { executable: Executable; inputs: Tensors } {
    const { features, schedule, scalingFactor, options, plan: settings } = this.setup;
    const items = plan.items.map((index) => features[plan.phase][index]);
    const latents = sampleLatents(items, scalingFactor, settings.seed, plan.step);
    const noise = floats(
      latents.shape,
      randomStream(settings.seed, 'noise', plan.step).normals(sizeOf(latents.shape)),
    );
    const levels = noiseLevels(schedule, plan.timesteps, 'f32');
    const condition = plan.phase === 'motion' ? conditionOf(items, plan, settings.seed, options) : undefined;
    const inputs: Tensors = {
      latents: addNoise(latents, noise, levels),
      target: velocityTarget(latents, noise, levels),
      text: stack(items.map(({ text }) => text)),
      timestep: floats([plan.timesteps.length], plan.timesteps),
      ...(condition && { condition }),
    };
    return { executable: this.objectives.get(plan.phase)!.get(condition !== undefined)!, inputs };
  }
}

/** Names and shapes of everything DualReal trains on a transformer, in the optimizer's order of groups. */
export function trainableParameters(
  config: TransformerConfig,
  options: DualRealOptions,
): ReadonlyMap<string, { readonly shape: Shape }> {
  const tiny: BatchShape = {
    batch: 1,
    latentFrames: 1,
    latentHeight: config.patch,
    latentWidth: config.patch,
    textTokens: 1,
    conditioned: true,
  };
  const { declared } = traceDualReal(config, options, tiny).parameters;
  const groups: readonly ParameterGroup[] = ['identity', 'motion', 'controller'];
  return new Map(
    groups.flatMap((group) =>
      [...declared]
        .filter(([name]) => parameterGroup(name) === group)
        .map(([name, { shape }]) => [name, { shape }] as const),
    ),
  );
}

function batchShape(
  { features, plan, config }: TrainingSetup,
  phase: Dimension,
  conditioned: boolean,
): BatchShape {
  const [latentFrames, , latentHeight, latentWidth] = features[phase][0].posterior.mean.shape;
  return {
    batch: plan.batch[phase],
    latentFrames,
    latentHeight,
    latentWidth,
    textTokens: config.textTokens,
    conditioned,
  };
}

/** [B, 1, E] from one condition frame per clip; undefined where the whole batch drops its condition. */
function conditionOf(
  items: readonly ItemFeatures[],
  { step }: StepPlan,
  seed: number,
  { conditionDropout, conditionFrame }: DualRealOptions,
): FloatTensor | undefined {
  if (conditionDropout > 0 && randomStream(seed, 'condition-dropout', step).uniform() < conditionDropout) {
    return undefined;
  }
  const rows = items.map(({ conditions }, b) => {
    const candidates = conditions!.shape[0];
    const perStep = conditionFrame === 'per-step';
    return rowOf(
      conditions!,
      perStep ? randomStream(seed, 'condition-frame', step, b).integer(candidates) : 0,
    );
  });
  const stacked = stack(rows);
  return floats([stacked.shape[0], 1, stacked.shape[1]], stacked.data);
}

function report(plan: StepPlan, { outputs: [first], gradientNorm }: TrainStepResult): StepReport {
  const weights = first.identityWeights;
  const [batch, groups] = weights.shape;
  const values = weights.data as Float32Array;
  return {
    plan,
    loss: Number(first.loss.data[0]),
    gradientNorm,
    identityWeights: Array.from({ length: batch }, (_, b) => [
      ...values.subarray(b * groups, (b + 1) * groups),
    ]),
  };
}
