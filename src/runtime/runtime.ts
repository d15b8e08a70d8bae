import { availableParallelism } from 'node:os';
import type { Backend } from '../graph/onnx-emitter.ts';
import { writeOnnx } from '../graph/onnx-writer.ts';
import type { Program } from '../graph/program.ts';
import { CancelledError, DualrealError, throwIfCancelled } from '../tensor/errors.ts';
import { formatShape, sameShape } from '../tensor/shape.ts';
import { connectInline, connectWorker } from './connection.ts';
import type {
  Tensors,
  TrainerSettings,
  TrainerState,
  TrainStepRequest,
  TrainStepResult,
} from './engine-host.ts';
import type { EngineConnection } from './protocol.ts';
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
  load(state: Partial<TrainerState> & Pick<TrainerState, 'parameters'>): Promise<void>;
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
      const { locations, externalRoot } = bindWeights(program, weights);
      const model = writeOnnx(program, { target: { backend }, weights: locations });
      const settings = { backend, threads, externalRoot, weights: residence };
      const session = await connection.call('open', model, settings, trainer?.id);
      return executable(connection, program, session);
    },
    createTrainer: async (settings) => {
      const id = await connection.call('createTrainer', settings);
      return {
        id,
        load: (state) => connection.call('loadTrainer', id, state),
        read: () => connection.call('readTrainer', id),
        release: () => connection.call('closeTrainer', id),
      };
    },
    close: () => connection.close(),
  };
}

function executable(connection: EngineConnection, program: Program, session: number): Executable {
  return {
    program,
    run: (inputs, { signal } = {}) => {
      requireInputs(program, inputs);
      return cancellable(connection.call('run', session, inputs), signal, program.name);
    },
    trainStep: (request, { signal } = {}) => {
      for (const inputs of request.microBatches) requireInputs(program, inputs);
      return cancellable(connection.call('trainStep', session, request), signal, program.name);
    },
    release: () => connection.call('close', session),
  };
}

/** Shapes and dtypes of what is fed, checked by name before anything runs. */
function requireInputs(program: Program, inputs: Tensors): void {
  for (const [name, tensor] of Object.entries(inputs)) {
    const declared = program.inputs.get(name);
    if (declared && declared.dtype === tensor.dtype && sameShape(declared.shape, tensor.shape)) continue;
    throw new DualrealError({
      where: `input ${name} of program ${program.name}`,
      expected: declared ? `${declared.dtype}${formatShape(declared.shape)}` : 'a declared input',
      got: `${tensor.dtype}${formatShape(tensor.shape)}`,
    });
  }
}

async function cancellable<T>(work: Promise<T>, signal: AbortSignal | undefined, what: string): Promise<T> {
  throwIfCancelled(signal, what);
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
