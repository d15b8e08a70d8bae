import type { NoiseSchedule } from '../diffusion/index.ts';
import type { BatchShape, Method, MethodParameter, Phase } from '../methods/index.ts';
import type { TransformerConfig } from '../models/cogvideox/transformer/index.ts';
import type {
  Executable,
  FileRegion,
  Runtime,
  Trainer,
  TrainStepResult,
  WeightTable,
} from '../runtime/index.ts';
import type { FloatTensor, HostTensor } from '../tensor/host-tensor.ts';
import { type PlannedPhase, type PlanSettings, planPhase, planStep, type StepPlan } from './batch-plan.ts';
import type { ItemFeatures } from './features.ts';
import type { DataKind, StagePlan } from './train-plan.ts';
import { conditionOf, stepInputs } from './training-inputs.ts';

export interface TrainingSetup {
  readonly config: TransformerConfig;
  readonly method: Method;
  readonly plan: StagePlan;
  readonly schedule: NoiseSchedule;
  readonly scalingFactor: number;
  /** Of the base. */
  readonly weights: WeightTable;
  readonly seed: number;
  readonly motionRatio: number;
  readonly timestepBias: PlanSettings['timestepBias'];
  readonly features: Readonly<Partial<Record<DataKind, readonly ItemFeatures[]>>>;
  readonly emptyText?: FloatTensor | undefined;
  readonly recompute: boolean;
  readonly residence: 'fold' | 'mapped';
}

/** What one training step did. */
export interface StepReport {
  readonly plan: StepPlan;
  readonly loss: number;
  readonly gradientNorm: number;
  /** [B][n], of DualReal. */
  readonly identityWeights?: readonly (readonly number[])[];
  /** Other scalars of the objective, such as parts of the loss. */
  readonly numbers?: Readonly<Record<string, number>>;
}

const EPSILON = 1e-8;

/** The compiled objectives of a stage's phases over the parameters that it trains. */
export class TrainingSession {
  readonly trainer: Trainer;
  /** Every parameter of the method, in its order: those that the trainer holds and all others. */
  readonly names: readonly string[];
  private readonly setup: TrainingSetup;
  private readonly settings: PlanSettings;
  /** By phase, with and without a condition. */
  private readonly objectives: ReadonlyMap<string, ReadonlyMap<boolean, Executable>>;

  private constructor(
    setup: TrainingSetup,
    names: readonly string[],
    trainer: Trainer,
    objectives: ReadonlyMap<string, ReadonlyMap<boolean, Executable>>,
  ) {
    this.setup = setup;
    this.names = names;
    this.settings = settingsOf(setup);
    this.trainer = trainer;
    this.objectives = objectives;
  }

  /**
   * Takes what the stage trains out of `trained`, so that there is one copy of it, and `optimizer`; everything
   * else in `trained` is a weight.
   */
  static async open(
    runtime: Runtime,
    setup: TrainingSetup,
    trained: Map<string, HostTensor>,
    optimizer?: Map<string, HostTensor>,
  ): Promise<TrainingSession> {
    const { method, plan, config } = setup;
    const { betas, weightDecay, maxGradientNorm, groupRates = {} } = plan.recipe;
    const parameters = method.parameters(config);
    const held = heldBy(plan, parameters);
    const trainer = await runtime.createTrainer({
      tensors: [...held].map(([name, { shape, group }]) => ({ name, shape, group })),
      optimizer: {
        betas,
        epsilon: EPSILON,
        weightDecay,
        ...(maxGradientNorm !== undefined && { maxGradientNorm }),
        groupRates,
      },
    });
    await trainer.load({
      parameters: new Map([...held.keys()].map((name) => [name, trained.get(name)!])),
      optimizer,
    });
    for (const name of held.keys()) trained.delete(name);
    optimizer?.clear();
    const weights: WeightTable = new Map<string, FileRegion | HostTensor>([...setup.weights, ...trained]);
    const objectives = new Map<string, Map<boolean, Executable>>();
    for (const phase of plan.stage.phases) {
      const forms = new Map<boolean, Executable>();
      for (const conditioned of conditionsOf(phase)) {
        const program = method.objective({
          config,
          stage: plan.stage.name,
          phase: phase.name,
          shape: batchShape(setup, phase, conditioned),
          trace: { checkpointBlocks: setup.recompute },
        });
        forms.set(
          conditioned,
          await runtime.compile(program, { weights, trainer, residence: setup.residence }),
        );
      }
      objectives.set(phase.name, forms);
    }
    return new TrainingSession(setup, [...parameters.keys()], trainer, objectives);
  }

  /** Forward, backward and update of one step; everything random is a function of (seed, step). */
  async step(step: number, learningRate: number): Promise<StepReport> {
    const plan = planStep(this.settings, step);
    const { executable, inputs } = this.prepare(plan);
    const activeGroups = this.phase(plan.phase).learning;
    const result = await executable.trainStep({ microBatches: [inputs], learningRate, activeGroups });
    return report(plan, result);
  }

  /** Milliseconds of one forward and backward of each phase, without any update, after one to warm up. */
  async rehearse(clock: () => number): Promise<ReadonlyMap<string, number>> {
    const measured = new Map<string, number>();
    for (const phase of this.settings.phases) {
      const { executable, inputs } = this.prepare(planPhase(this.settings, phase, 0, 0));
      const request = { microBatches: [inputs], learningRate: 0, activeGroups: [] };
      await executable.trainStep(request);
      const started = clock();
      await executable.trainStep(request);
      measured.set(phase.name, clock() - started);
    }
    return measured;
  }

  /** The tensors that the stage trains, as they are now, and their optimizer's. */
  async read(): Promise<{ parameters: Map<string, HostTensor>; optimizer: Map<string, HostTensor> }> {
    return this.trainer.read();
  }

  async close(): Promise<void> {
    for (const forms of this.objectives.values()) {
      for (const executable of forms.values()) await executable.release();
    }
    await this.trainer.release();
  }

  private phase(name: string): Phase {
    return this.setup.plan.stage.phases.find((phase) => phase.name === name)!;
  }

  private prepare(plan: StepPlan) {
    const phase = this.phase(plan.phase);
    const items = plan.items.map((index) => this.setup.features[plan.data]![index]);
    const condition = phase.condition && conditionOf(items, plan, this.setup.seed, phase.condition);
    const executable = this.objectives.get(plan.phase)!.get(condition !== undefined)!;
    const { inputs: asked } = executable.program;
    const inputs = stepInputs({ ...this.setup, plan, phase, items, condition }, (name) => asked.has(name));
    return { executable, inputs };
  }
}

function heldBy(
  { stage }: StagePlan,
  parameters: ReadonlyMap<string, MethodParameter>,
): ReadonlyMap<string, MethodParameter> {
  return new Map([...parameters].filter(([, { group }]) => stage.groups.includes(group)));
}

/** With a condition, without, or both where it is dropped now and then. */
function conditionsOf({ condition }: Phase): readonly boolean[] {
  if (!condition) return [false];
  return condition.dropout > 0 ? [true, false] : [true];
}

function settingsOf({
  seed,
  motionRatio,
  timestepBias,
  plan,
  features,
  schedule,
}: TrainingSetup): PlanSettings {
  const phases: readonly PlannedPhase[] = plan.stage.phases.map(({ name, data }) => ({
    name,
    data,
    batch: plan.batch[name],
    items: features[data]!.length,
  }));
  const { order } = plan.stage;
  const { trainTimesteps } = schedule.config;
  return { seed, motionRatio, timestepBias, phases, order, first: plan.first, trainTimesteps };
}

function batchShape(
  { features, plan, config }: TrainingSetup,
  { name, data, masks }: Phase,
  conditioned: boolean,
): BatchShape {
  const [{ posterior, mask }] = features[data]!;
  const [latentFrames, , latentHeight, latentWidth] = posterior.mean.shape;
  return {
    batch: plan.batch[name],
    latentFrames,
    latentHeight,
    latentWidth,
    textTokens: config.textTokens,
    conditioned,
    masked: masks === true && mask !== undefined,
  };
}

function report(plan: StepPlan, { outputs: [first], gradientNorm }: TrainStepResult): StepReport {
  const { loss, identityWeights, ...others } = first;
  const scalars = Object.entries(others).filter(([, { data }]) => data.length === 1);
  return {
    plan,
    loss: Number(loss.data[0]),
    gradientNorm,
    ...(identityWeights && { identityWeights: rowsOf(identityWeights) }),
    ...(scalars.length > 0 && {
      numbers: Object.fromEntries(scalars.map(([name, { data }]) => [name, Number(data[0])])),
    }),
  };
}

function rowsOf({ shape: [batch, groups], data }: HostTensor): number[][] {
  const values = data as Float32Array;
  return Array.from({ length: batch }, (_, b) => [...values.subarray(b * groups, (b + 1) * groups)]);
}
