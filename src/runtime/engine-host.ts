import type * as ort from 'onnxruntime-node';
import { DualrealError } from '../tensor/errors.ts';
import { floats, type HostTensor } from '../tensor/host-tensor.ts';
import { findBlockedChannels } from './blocked-layout.ts';
import { type DeviceModels, DeviceState } from './device/device-state.ts';
import { NEXT_GRADIENTS, PARAMETERS } from './device/programs.ts';
import { engineError } from './engine-error.ts';
import { AdamW } from './optimizer/adamw.ts';
import { startMovingAverage, updateMovingAverage } from './optimizer/moving-average.ts';
import { ParameterArena } from './optimizer/parameter-arena.ts';
import { fromOrtTensor, openSession, type SessionSettings, toOrtTensor } from './session.ts';
import {
  GRADIENT_PREFIX,
  NonFiniteLossError,
  type Tensors,
  type TrainerSettings,
  type TrainerSources,
  type TrainerState,
  type TrainStepRequest,
  type TrainStepResult,
} from './training.ts';
import { copyElements } from './weight-table.ts';

interface Trainer {
  readonly arena: ParameterArena;
  readonly optimizer: AdamW;
  readonly averageDecay: number | undefined;
  /** Where the state is between loading and reading, if not in the arena. */
  readonly device: DeviceState | undefined;
}

interface OpenSession {
  readonly session: ort.InferenceSession;
  readonly backend: string;
  readonly trainer: Trainer | undefined;
  /** Trainable tensors whose gradients the program computes. */
  readonly gradients: ReadonlySet<string>;
}

/**
 * What runs beside onnxruntime: sessions and trainable state, addressed by number. It lives in a worker
 * thread (or in the caller's thread for tools); everything that crosses is plain data.
 */
export class EngineHost {
  private readonly sessions = new Map<number, OpenSession>();
  private readonly trainers = new Map<number, Trainer>();
  private blocked: Promise<number | undefined> | undefined;
  private nextId = 1;

  /** Channels per block of the CPU engine's convolution layout, if it has one. */
  async blockedChannels(): Promise<number | undefined> {
    this.blocked ??= findBlockedChannels();
    return this.blocked;
  }

  async open(
    model: Uint8Array,
    settings: SessionSettings,
    trainerId?: number,
    gradients: readonly string[] = [],
  ): Promise<number> {
    const trainer = trainerId === undefined ? undefined : this.trainer(trainerId);
    const staysThere = trainer?.device && gradients.length > 0;
    const session = await openSession(model, {
      ...settings,
      ...(staysThere && { deviceOutputs: [NEXT_GRADIENTS] }),
    });
    const id = this.nextId++;
    this.sessions.set(id, { session, backend: settings.backend, trainer, gradients: new Set(gradients) });
    return id;
  }

  async close(sessionId: number): Promise<void> {
    const { session } = this.session(sessionId);
    this.sessions.delete(sessionId);
    await session.release();
  }

  /** Runs a session once. Inputs that are trainable parameters of its trainer need not be given. */
  async run(sessionId: number, inputs: Tensors): Promise<Tensors> {
    const open = this.session(sessionId);
    const { [NEXT_GRADIENTS]: unused, ...results } = await execute(open, feedsOf(open, inputs), undefined);
    unused?.dispose();
    return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, fromOrtTensor(tensor)]));
  }

  /** With `models` the state lives in the memory of the device. */
  async createTrainer(settings: TrainerSettings, models?: DeviceModels): Promise<number> {
    const { averageDecay } = settings;
    const arena = new ParameterArena(settings.tensors, { average: averageDecay !== undefined });
    const device = models && (await DeviceState.open(arena, settings.optimizer, models));
    const id = this.nextId++;
    this.trainers.set(id, { arena, optimizer: new AdamW(arena, settings.optimizer), averageDecay, device });
    return id;
  }

  async closeTrainer(trainerId: number): Promise<void> {
    const { device } = this.trainer(trainerId);
    this.trainers.delete(trainerId);
    await device?.close();
  }

  /**
   * Sets all parameters, and what else is given: the optimizer's state, the moving average (which otherwise
   * starts anew from the parameters). Where anything does not fit, nothing changes.
   */
  async loadTrainer(trainerId: number, state: TrainerSources): Promise<void> {
    const { arena, optimizer, averageDecay, device } = this.trainer(trainerId);
    arena.requireParameters('trainable parameters', state.parameters);
    if (state.optimizer) optimizer.requireState(state.optimizer);
    if (state.average) arena.requireParameters('moving average', state.average);
    if (state.average && averageDecay === undefined) {
      const [expected, got] = ['none, since the trainer keeps none', 'one'];
      throw new DualrealError({ where: 'moving average', expected, got });
    }
    arena.loadParameters(state.parameters);
    if (state.optimizer) optimizer.loadState(state.optimizer);
    if (averageDecay !== undefined) {
      startMovingAverage(arena);
      for (const [name, source] of state.average ?? []) copyElements(source, arena.averageOf(name));
    }
    await device?.upload(optimizer);
  }

  async readTrainer(trainerId: number): Promise<TrainerState> {
    const { arena, optimizer, averageDecay, device } = this.trainer(trainerId);
    await device?.download(optimizer);
    const copy = (view: (name: string) => Float32Array): Map<string, HostTensor> =>
      new Map(arena.tensors.map(({ name, shape }) => [name, floats(shape, view(name).slice())]));
    return {
      parameters: copy((name) => arena.parameterOf(name)),
      optimizer: optimizer.state(),
      average: averageDecay === undefined ? undefined : copy((name) => arena.averageOf(name)),
    };
  }

  /**
   * Forward and backward for each micro-batch, then one optimizer update. Tensors of active groups whose
   * gradient the program does not produce are skipped by the optimizer, as upstream skips a missing one.
   */
  async trainStep(sessionId: number, request: TrainStepRequest): Promise<TrainStepResult> {
    const open = this.session(sessionId);
    const { trainer } = open;
    if (!trainer) {
      throw new DualrealError({ where: 'training step', expected: 'a session with a trainer', got: 'none' });
    }
    if (request.microBatches.length === 0) {
      throw new DualrealError({ where: 'training step', expected: 'at least one micro-batch', got: 'none' });
    }
    if (trainer.device) return this.deviceStep(open, trainer, trainer.device, request);
    const produced = open.gradients;
    const outputs: Tensors[] = [];
    const sums = request.microBatches.length > 1 ? new Map<string, Float32Array>() : undefined;
    for (const batch of request.microBatches) {
      const results = await execute(open, feedsOf(open, batch), gradientFetches(open, trainer, produced));
      const plain = plainOutputs(results);
      requireFiniteLoss(plain);
      outputs.push(plain);
      if (sums) addGradients(trainer.arena, produced, sums);
    }
    if (sums) storeMeanGradients(trainer.arena, sums, request.microBatches.length);
    const withoutGradient = trainer.arena
      .tensorsOf(request.activeGroups)
      .map(({ name }) => name)
      .filter((name) => !produced.has(name));
    const { learningRate, activeGroups } = request;
    const report = trainer.optimizer.step({
      learningRate,
      withoutGradient,
      ...(activeGroups && { activeGroups }),
    });
    if (trainer.averageDecay !== undefined) updateMovingAverage(trainer.arena, trainer.averageDecay);
    return { outputs, ...report };
  }

  private async deviceStep(
    open: OpenSession,
    { arena }: Trainer,
    device: DeviceState,
    { microBatches, learningRate, activeGroups }: TrainStepRequest,
  ): Promise<TrainStepResult> {
    const outputs: Tensors[] = [];
    const run = (session: ort.InferenceSession, feeds: OrtTensors) =>
      execute({ session, backend: open.backend }, feeds, undefined);
    const sum = await device.accumulate(
      open.session,
      microBatches.map((batch) => feedsOf(open, batch)),
      run,
      (results) => {
        const plain = plainOutputs(results);
        requireFiniteLoss(plain);
        outputs.push(plain);
      },
    );
    const learning = new Set(arena.tensorsOf(activeGroups).map(({ name }) => name));
    const learns = (name: string) => learning.has(name) && open.gradients.has(name);
    const report = await device.step(sum, microBatches.length, learningRate, learns, run);
    return { outputs, ...report };
  }

  private session(id: number): OpenSession {
    const open = this.sessions.get(id);
    if (open) return open;
    throw new DualrealError({ where: 'engine', expected: 'an open session', got: `number ${id}` });
  }

  private trainer(id: number): Trainer {
    const trainer = this.trainers.get(id);
    if (trainer) return trainer;
    throw new DualrealError({ where: 'engine', expected: 'an open trainer', got: `number ${id}` });
  }
}

type OrtTensors = Record<string, ort.Tensor>;

async function execute(
  { session, backend }: Pick<OpenSession, 'session' | 'backend'>,
  feeds: OrtTensors,
  fetches: Record<string, ort.Tensor | null> | undefined,
): Promise<OrtTensors> {
  try {
    return fetches ? await session.run(feeds, fetches) : await session.run(feeds);
  } catch (cause) {
    throw engineError('running', backend, cause);
  }
}

function feedsOf({ session, trainer }: OpenSession, inputs: Tensors): OrtTensors {
  const feeds: OrtTensors = {};
  for (const name of session.inputNames) {
    const given = inputs[name];
    if (given) feeds[name] = toOrtTensor(given, `input ${name}`);
    else if (trainer?.device) Object.assign(feeds, deviceFeed(trainer.device, name));
    else if (trainer) feeds[name] = planeTensor(trainer.arena, 'parameter', name);
    else throw new DualrealError({ where: `input ${name}`, expected: 'a tensor', got: 'none' });
  }
  return feeds;
}

/** Steps replace the sum of gradients by the one so far. */
function deviceFeed(device: DeviceState, name: string): OrtTensors {
  return { [name]: name === PARAMETERS ? device.parameters : device.noGradients };
}

/** Gradients are written straight into the arena; everything else is allocated by onnxruntime. */
function gradientFetches(
  { session }: OpenSession,
  { arena }: Trainer,
  produced: ReadonlySet<string>,
): Record<string, ort.Tensor | null> {
  const fetches: Record<string, ort.Tensor | null> = {};
  for (const output of session.outputNames) fetches[output] = null;
  for (const name of produced) fetches[GRADIENT_PREFIX + name] = planeTensor(arena, 'gradient', name);
  return fetches;
}

/** A trainable tensor's place in a plane of the arena, for onnxruntime to read or write. */
function planeTensor(arena: ParameterArena, plane: 'parameter' | 'gradient', name: string): ort.Tensor {
  const { shape } = arena.tensor(name);
  return toOrtTensor({ dtype: 'f32', shape, data: arena.view(plane, name) }, name);
}

function plainOutputs(results: OrtTensors): Tensors {
  const plain = Object.entries(results).filter(([name]) => !name.startsWith(GRADIENT_PREFIX));
  return Object.fromEntries(plain.map(([name, tensor]) => [name, fromOrtTensor(tensor)]));
}

function requireFiniteLoss({ loss }: Tensors): void {
  if (!loss || Number.isFinite(Number(loss.data[0]))) return;
  throw new NonFiniteLossError({
    where: 'loss',
    expected: 'a finite number',
    got: String(loss.data[0]),
    hint: 'parameters are as they were before this step; a lower learning rate often helps',
  });
}

function addGradients(
  arena: ParameterArena,
  names: ReadonlySet<string>,
  sums: Map<string, Float32Array>,
): void {
  for (const name of names) {
    const gradient = arena.gradientOf(name);
    const sum = sums.get(name);
    if (!sum) sums.set(name, gradient.slice());
    else for (let i = 0; i < sum.length; i++) sum[i] += gradient[i];
  }
}

function storeMeanGradients(
  arena: ParameterArena,
  sums: ReadonlyMap<string, Float32Array>,
  count: number,
): void {
  for (const [name, sum] of sums) {
    const gradient = arena.gradientOf(name);
    for (let i = 0; i < sum.length; i++) gradient[i] = sum[i] / count;
  }
}
