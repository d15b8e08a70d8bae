import { availableParallelism } from 'node:os';
import type { Backend } from '../graph/onnx-emitter.ts';
import { writeOnnx } from '../graph/onnx-writer.ts';
import { formatType, type Program } from '../graph/program.ts';
import { CancelledError, ShapeError, throwIfCancelled } from '../tensor/errors.ts';
import { sameShape, sizeOf } from '../tensor/shape.ts';
import { connectInline, connectWorker } from './connection.ts';
import type { DeviceModels } from './device/device-state.ts';
import { type DeviceLayout, deviceLayout } from './device/layout.ts';
import { deviceProgram, moveProgram, updateProgram } from './device/programs.ts';
import { ELEMENT_TYPES } from './element-types.ts';
import { EngineError } from './engine-error.ts';
import type { TrainableTensor } from './optimizer/parameter-arena.ts';
import type { EngineConnection } from './protocol.ts';
import {
  GRADIENT_PREFIX,
  type Tensors,
  type TrainerSettings,
  type TrainerSources,
  type TrainerState,
  type TrainStepRequest,
  type TrainStepResult,
} from './training.ts';
import { bindWeights, type WeightTable } from './weight-table.ts';

export interface RuntimeOptions {
  readonly backend?: Backend;
  /** Compute threads; default: the physical parallelism the machine offers. */
  readonly threads?: number;
  /** Run in the caller's thread instead of a worker. */
  readonly inline?: boolean;
}

export interface CompileOptions {
  readonly weights?: WeightTable;
  /** See {@link SessionSettings.weights}; default 'fold'. */
  readonly residence?: 'fold' | 'mapped';
  /** Binds trainable inputs and gradient outputs to a trainer's state. */
  readonly trainer?: Trainer;
}

export interface RunOptions {
  readonly signal?: AbortSignal | undefined;
}

/** A compiled program. */
export interface Executable {
  readonly program: Program;
  /** Runs once. Throws CancelledError as soon as the signal fires; onnxruntime finishes behind it. */
  run(inputs: Tensors, options?: RunOptions): Promise<Tensors>;
  /** Forward, backward and optimizer update; only for programs compiled with a trainer. */
  trainStep(request: TrainStepRequest, options?: RunOptions): Promise<TrainStepResult>;
  release(): Promise<void>;
}

/** Trainable parameters with their optimizer, resident beside the engine. */
export interface Trainer {
  readonly id: number;
  readonly tensors: readonly TrainableTensor[];
  /** Where each tensor is in the device's memory, if the state is kept there. */
  readonly device?: DeviceLayout;
  load(state: TrainerSources): Promise<void>;
  read(): Promise<TrainerState>;
  release(): Promise<void>;
}

/** An engine: compiles programs for one backend and runs them. */
export interface Runtime {
  readonly backend: Backend;
  readonly threads: number;
  compile(program: Program, options?: CompileOptions): Promise<Executable>;
  createTrainer(settings: TrainerSettings): Promise<Trainer>;
  close(): Promise<void>;
}

/** Starts an engine (in a worker thread unless `inline`). Nothing is loaded before the first compile. */
export function createRuntime(options: RuntimeOptions = {}): Runtime {
  const backend = options.backend ?? 'cpu';
  const threads = options.threads ?? Math.max(1, availableParallelism());
  const connection = options.inline ? connectInline() : connectWorker();
  return {
    backend,
    threads,
    compile: async (program, { weights = new Map(), residence = 'fold', trainer } = {}) => {
      requireExchangeable(program);
      if (trainer) requireTrainable(program, trainer);
      const { locations, externalRoot } = bindWeights(program, weights);
      const onDevice = trainer?.device ? deviceProgram(program, trainer.device) : program;
      const blockedChannels = backend === 'cpu' ? await connection.call('blockedChannels') : undefined;
      const model = writeOnnx(onDevice, { target: { backend, blockedChannels }, weights: locations });
      const settings = { backend, threads, externalRoot, weights: residence };
      const session = await connection.call('open', model, settings, trainer?.id, gradientsOf(program));
      return executable(connection, program, session, trainer);
    },
    createTrainer: async (settings) => {
      const device = backend === 'webgpu' ? deviceLayout(settings.tensors) : undefined;
      const models = device && deviceModels(device, settings, { backend, threads });
      const id = await connection.call('createTrainer', settings, models);
      return {
        id,
        tensors: settings.tensors,
        ...(device && { device }),
        load: (state) => connection.call('loadTrainer', id, state),
        read: () => connection.call('readTrainer', id),
        release: () => connection.call('closeTrainer', id),
      };
    },
    close: () => connection.close(),
  };
}

/** The programs that keep a trainer's state on the device, as ONNX. */
function deviceModels(
  layout: DeviceLayout,
  { optimizer, averageDecay }: TrainerSettings,
  { backend, threads }: { readonly backend: Backend; readonly threads: number },
): DeviceModels {
  const written = (program: Program) => writeOnnx(program, { target: { backend }, weights: new Map() });
  return {
    layout,
    update: written(updateProgram(layout, optimizer, averageDecay)),
    move: written(moveProgram(layout)),
    session: { backend, threads, externalRoot: '/', weights: 'fold' },
  };
}

/** Names of the trainable tensors whose gradients a program computes. */
function gradientsOf({ outputs }: Program): string[] {
  return [...outputs.keys()]
    .filter((name) => name.startsWith(GRADIENT_PREFIX))
    .map((name) => name.slice(GRADIENT_PREFIX.length));
}

function executable(
  connection: EngineConnection,
  program: Program,
  session: number,
  trainer: Trainer | undefined,
): Executable {
  const resident = new Set(trainer?.tensors.map(({ name }) => name));
  return {
    program,
    run: async (inputs, { signal } = {}) => {
      requireInputs(program, inputs, resident);
      return cancellable(() => connection.call('run', session, inputs), signal, program.name);
    },
    trainStep: async (request, { signal } = {}) => {
      for (const inputs of request.microBatches) requireInputs(program, inputs, resident);
      return cancellable(() => connection.call('trainStep', session, request), signal, program.name);
    },
    release: () => connection.call('close', session),
  };
}

/** Shapes and dtypes of what is fed, checked by name before anything runs. */
function requireInputs(program: Program, inputs: Tensors, resident: ReadonlySet<string>): void {
  const refuse = (name: string, expected: string, got: string) =>
    new ShapeError({ where: `input ${name} of program ${program.name}`, expected, got });
  for (const [name, { dtype, shape }] of program.inputs) {
    if (!inputs[name] && !resident.has(name)) throw refuse(name, formatType({ dtype, shape }), 'nothing');
  }
  for (const [name, tensor] of Object.entries(inputs)) {
    const declared = program.inputs.get(name);
    if (!declared) throw refuse(name, `one of ${[...program.inputs.keys()].join(', ')}`, 'an unknown name');
    if (declared.dtype !== tensor.dtype || !sameShape(declared.shape, tensor.shape)) {
      throw refuse(name, formatType(declared), formatType(tensor));
    }
    if (tensor.data.length !== sizeOf(tensor.shape)) {
      throw refuse(name, `${sizeOf(tensor.shape)} elements`, `${tensor.data.length}`);
    }
  }
}

/** Only some dtypes can be fed and fetched. */
function requireExchangeable(program: Program): void {
  for (const [kind, values] of [
    ['input', program.inputs],
    ['output', program.outputs],
  ] as const) {
    for (const [name, { dtype }] of values) {
      if (ELEMENT_TYPES[dtype]) continue;
      const where = `${kind} ${name} of program ${program.name}`;
      const expected = `one of ${Object.keys(ELEMENT_TYPES).join(', ')}`;
      throw new EngineError({ where, expected, got: dtype, hint: 'cast it inside the program' });
    }
  }
}

/** The inputs that a trainer holds, and the gradients it is to receive, must have the shapes it knows. */
function requireTrainable(program: Program, { tensors }: Trainer): void {
  const shapes = new Map(tensors.map(({ name, shape }) => [name, shape]));
  for (const [name, value] of program.outputs) {
    if (!name.startsWith(GRADIENT_PREFIX) || shapes.has(name.slice(GRADIENT_PREFIX.length))) continue;
    const where = `output ${name} of program ${program.name}`;
    throw new ShapeError({ where, expected: 'the gradient of a trainable tensor', got: formatType(value) });
  }
  for (const [name, shape] of shapes) {
    const expected = formatType({ dtype: 'f32', shape });
    for (const value of [program.inputs.get(name), program.outputs.get(GRADIENT_PREFIX + name)]) {
      if (!value || formatType(value) === expected) continue;
      const where = `trainable tensor ${name} in program ${program.name}`;
      throw new ShapeError({ where, expected, got: formatType(value) });
    }
  }
}

async function cancellable<T>(
  start: () => Promise<T>,
  signal: AbortSignal | undefined,
  what: string,
): Promise<T> {
  throwIfCancelled(signal, what);
  const work = start();
  if (!signal) return work;
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(new CancelledError(what));
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    if (onAbort) signal.removeEventListener('abort', onAbort);
    // The loser of the race must not surface as an unhandled rejection.
    work.catch(() => {});
  }
}
