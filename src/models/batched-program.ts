import type { Program } from '../graph/index.ts';
import type { Executable, Runtime, Tensors, WeightTable } from '../runtime/index.ts';
import { type FloatTensor, floats, type HostTensor, zeros } from '../tensor/host-tensor.ts';
import { type Shape, sizeOf } from '../tensor/shape.ts';

export interface BatchedProgramOptions {
  readonly weights: WeightTable;
  /** Whether weights may be copied for speed or stay in their file's memory map; default 'fold'. */
  readonly residence?: 'fold' | 'mapped';
  /** Rows of one run; longer inputs take several. Default 8. */
  readonly maxBatch?: number;
}

export interface EncodeOptions {
  readonly signal?: AbortSignal | undefined;
}

/** Each holds its own copy of the weights once they are folded. */
const MAX_EXECUTABLES = 2;

/**
 * A model of static shape for inputs of any batch size: one compiled program per shape, at most two kept, the
 * rows run in pieces of `maxBatch`, the last piece filled up with zeros. Calls run one after the other.
 */
export class BatchedProgram {
  readonly #runtime: Runtime;
  readonly #build: (shapes: Readonly<Record<string, Shape>>) => Program;
  readonly #options: BatchedProgramOptions;
  readonly #executables = new Map<string, Executable>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    runtime: Runtime,
    build: (shapes: Readonly<Record<string, Shape>>) => Program,
    options: BatchedProgramOptions,
  ) {
    this.#runtime = runtime;
    this.#build = build;
    this.#options = options;
  }

  /** Runs inputs whose first axis is the batch; the program's one output is f32 with the batch first. */
  run(inputs: Tensors, options: EncodeOptions = {}): Promise<FloatTensor> {
    return this.#inTurn(() => this.#run(inputs, options));
  }

  release(): Promise<void> {
    return this.#inTurn(async () => {
      for (const executable of this.#executables.values()) await executable.release();
      this.#executables.clear();
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work);
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #run(inputs: Tensors, options: EncodeOptions): Promise<FloatTensor> {
    const [first] = Object.values(inputs);
    const rows = first.shape[0];
    const batch = Math.min(rows, this.#options.maxBatch ?? 8);
    const shapes = mapTensors(inputs, ({ shape }) => [batch, ...shape.slice(1)]);
    const executable = await this.#executable(shapes);
    const pieces: HostTensor[] = [];
    for (let start = 0; start < rows; start += batch) {
      const piece = mapTensors(inputs, (tensor) => rowsOf(tensor, start, batch));
      const [result] = Object.values(await executable.run(piece, options));
      pieces.push(result);
    }
    const shape = [rows, ...pieces[0].shape.slice(1)];
    const out = new Float32Array(sizeOf(shape));
    let at = 0;
    for (const { data } of pieces) {
      out.set((data as Float32Array).subarray(0, out.length - at), at);
      at += data.length;
    }
    return floats(shape, out);
  }

  async #executable(shapes: Readonly<Record<string, Shape>>): Promise<Executable> {
    const key = JSON.stringify(shapes);
    const known = this.#executables.get(key);
    // The map's order is the order of use.
    this.#executables.delete(key);
    if (!known && this.#executables.size >= MAX_EXECUTABLES) {
      const [oldest, executable] = [...this.#executables][0];
      this.#executables.delete(oldest);
      await executable.release();
    }
    const { weights, residence = 'fold' } = this.#options;
    const executable = known ?? (await this.#runtime.compile(this.#build(shapes), { weights, residence }));
    this.#executables.set(key, executable);
    return executable;
  }
}

function mapTensors<T>(tensors: Tensors, map: (tensor: HostTensor) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, map(tensor)]));
}

/** Rows start … start + count of the first axis, zeros where there are no more. */
function rowsOf(tensor: HostTensor, start: number, count: number): HostTensor {
  const [rows, ...rest] = tensor.shape;
  if (start === 0 && count === rows) return tensor;
  const size = sizeOf(rest);
  const data = tensor.data.subarray(start * size, (start + count) * size);
  const shape = [count, ...rest];
  if (start + count <= rows) return { ...tensor, shape, data };
  const filled = zeros(tensor.dtype, shape);
  (filled.data as Float32Array).set(data as Float32Array);
  return filled;
}
