import type { Executable, Runtime, Tensors, Trainer, TrainerState } from '../../runtime/index.ts';
import { bytesOf } from '../../tensor/dtype.ts';
import { DualrealError } from '../../tensor/errors.ts';
import type { HostTensor } from '../../tensor/host-tensor.ts';
import { learningRateAt } from './recipe.ts';
import { CARRIED_PREFIX, type PretrainingTask, type TensorTable } from './task.ts';

/** What one step did. */
export interface PretrainingStep {
  readonly loss: number;
  /** Other scalars of the program. */
  readonly numbers: Readonly<Record<string, number>>;
  readonly learningRate: number;
  readonly gradientNorm: number;
}

export const OPTIMIZER = 'optimizer/';
export const AVERAGE = 'average/';
const CARRIED = 'carried/';
const FIXED = 'fixed/';

/** A task with its optimizer in an engine. */
export class PretrainingSession {
  private readonly task: PretrainingTask;
  private readonly trainer: Trainer;
  private readonly executable: Executable;
  private carried: TensorTable;

  private constructor(task: PretrainingTask, trainer: Trainer, executable: Executable, carried: TensorTable) {
    this.task = task;
    this.trainer = trainer;
    this.executable = executable;
    this.carried = carried;
  }

  /** Starts from freshly drawn parameters. */
  static async open(runtime: Runtime, task: PretrainingTask, seed: number): Promise<PretrainingSession> {
    const { betas, weightDecay, maxGradientNorm, averageDecay } = task.recipe;
    const trainer = await runtime.createTrainer({
      tensors: [...task.trainable].map(([name, { shape }]) => ({ name, shape, group: 'model' })),
      optimizer: { betas, epsilon: 1e-8, weightDecay, maxGradientNorm },
      averageDecay,
    });
    await trainer.load({ parameters: new Map(task.initialize(seed)) });
    const executable = await runtime.compile(task.program, { weights: task.frozen, trainer });
    return new PretrainingSession(task, trainer, executable, task.carried(seed));
  }

  /** Forward, backward and update with the inputs of this step. */
  async step(step: number, batch: Tensors): Promise<PretrainingStep> {
    const learningRate = learningRateAt(this.task.recipe, step);
    const inputs = { ...batch, ...Object.fromEntries(this.carried) };
    const { outputs, gradientNorm } = await this.executable.trainStep({
      microBatches: [inputs],
      learningRate,
    });
    const entries = Object.entries(outputs[0]);
    const isCarried = ([name]: readonly [string, HostTensor]) => name.startsWith(CARRIED_PREFIX);
    this.carried = new Map(
      entries.filter(isCarried).map(([name, tensor]) => [name.slice(CARRIED_PREFIX.length), tensor]),
    );
    const { loss, ...numbers } = Object.fromEntries(
      entries.filter((entry) => !isCarried(entry)).map(([name, { data }]) => [name, Number(data[0])]),
    );
    return { loss, numbers, learningRate, gradientNorm };
  }

  /** Everything that the next steps depend on, by name. */
  async state(): Promise<Map<string, HostTensor>> {
    const { parameters, optimizer, average } = await this.trainer.read();
    const under = (prefix: string, table: TensorTable) =>
      [...table].map(([name, tensor]) => [prefix + name, tensor] as const);
    return new Map([
      ...parameters,
      ...under(OPTIMIZER, optimizer),
      ...under(AVERAGE, average!),
      ...under(CARRIED, this.carried),
      ...under(FIXED, this.task.fixed),
    ]);
  }

  /**
   * Continues exactly where {@link state} was taken.
   * @throws {DualrealError} where what is fixed has become something else since.
   */
  async load(state: TensorTable): Promise<void> {
    requireSame(tableBelow(state, FIXED), this.task.fixed);
    const loaded: TrainerState = {
      parameters: parametersOf(state),
      optimizer: tableBelow(state, OPTIMIZER),
      average: tableBelow(state, AVERAGE),
    };
    await this.trainer.load(loaded);
    this.carried = tableBelow(state, CARRIED);
  }

  /** Begins anew, but from the parameters of another run's {@link state}. */
  async start(state: TensorTable): Promise<void> {
    await this.trainer.load({ parameters: parametersOf(state) });
  }

  /** The moving average of the parameters, and what is fixed: what is judged and exported. */
  async average(): Promise<TensorTable> {
    return new Map([...(await this.trainer.read()).average!, ...this.task.fixed]);
  }
}

function parametersOf(state: TensorTable): Map<string, HostTensor> {
  const others = [OPTIMIZER, AVERAGE, CARRIED, FIXED];
  return new Map([...state].filter(([name]) => !others.some((prefix) => name.startsWith(prefix))));
}

/** What was saved under a prefix, without it. */
export function tableBelow(state: TensorTable, prefix: string): Map<string, HostTensor> {
  return new Map(
    [...state]
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, tensor]) => [name.slice(prefix.length), tensor]),
  );
}

function requireSame(saved: TensorTable, fixed: TensorTable): void {
  for (const [name, { data }] of fixed) {
    const before = saved.get(name);
    if (before && Buffer.from(bytesOf(before.data)).equals(bytesOf(data))) continue;
    throw new DualrealError({
      where: name,
      expected: 'the fixed parameter that this run began with',
      got: before ? 'another one' : 'none in the checkpoint',
      hint: 'the universe it is made from has changed since; begin a new run (--start-from takes the rest over)',
    });
  }
}

/** {@link PretrainingSession.average} out of a saved {@link PretrainingSession.state}. */
export function averageOf(state: TensorTable): Map<string, HostTensor> {
  return new Map([...tableBelow(state, AVERAGE), ...tableBelow(state, FIXED)]);
}
