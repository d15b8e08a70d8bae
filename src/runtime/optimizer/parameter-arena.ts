import { DualrealError, ShapeError } from '../../tensor/errors.ts';
import type { HostTensor } from '../../tensor/host-tensor.ts';
import { formatShape, type Shape, sameShape, sizeOf } from '../../tensor/shape.ts';
import { copyElements, requireReadable, type WeightTable } from '../weight-table.ts';
import { instantiateKernels, type OptimizerKernels } from './kernels.ts';
import { Memory, WASM_MEMORY_LIMIT_BYTES, WASM_PAGE_BYTES, type WasmMemory } from './web-assembly.ts';

/** A trainable tensor. Groups ('identity', 'motion', …) are what a step can leave out as a whole. */
export interface TrainableTensor {
  readonly name: string;
  readonly shape: Shape;
  readonly group: string;
}

/** A trainable tensor with its place in each plane. */
export interface ArenaTensor extends TrainableTensor {
  readonly index: number;
  readonly length: number;
  /** From the start of a plane; a multiple of {@link ALIGNMENT_BYTES}. */
  readonly offsetBytes: number;
}

const PLANES = ['parameter', 'gradient', 'firstMoment', 'secondMoment', 'average'] as const;
export type Plane = (typeof PLANES)[number];

/** One cache line, so that no two tensors share one; also what onnxruntime's kernels like best. */
export const ALIGNMENT_BYTES = 64;
const FLOAT_BYTES = 4;

/** The trainable state does not fit into one WebAssembly memory. */
export class ArenaSizeError extends DualrealError {}

/** A parameter, group or plane that the arena does not have, or a list of tensors it cannot be built from. */
export class ArenaLayoutError extends DualrealError {}

/**
 * All trainable state in one WebAssembly memory: flat f32 planes (parameters, gradients, first and second
 * moments, and on request a moving average of the parameters), with every tensor at the same offset in each.
 * The views can be handed to onnxruntime as feeds and fetches, and the optimizer's kernels run over them in
 * place. The memory has exactly the needed size (rounded up to WASM pages) and never grows, because growing
 * would detach the views. Never post a view to another thread: the whole memory would be cloned with it.
 */
export class ParameterArena {
  readonly tensors: readonly ArenaTensor[];
  readonly groups: readonly string[];
  readonly sizeBytes: number;
  readonly hasAverage: boolean;
  readonly kernels: OptimizerKernels;
  readonly #memory: WasmMemory;
  readonly #planeBytes: number;
  readonly #byName: ReadonlyMap<string, ArenaTensor>;

  /** Tensors of one group must stand together. */
  constructor(tensors: readonly TrainableTensor[], options: { readonly average?: boolean } = {}) {
    const { placed, planeBytes } = placeTensors(tensors);
    this.tensors = placed;
    this.groups = [...new Set(placed.map(({ group }) => group))];
    this.hasAverage = options.average ?? false;
    this.#planeBytes = planeBytes;
    this.#byName = new Map(placed.map((tensor) => [tensor.name, tensor]));
    this.sizeBytes = planeBytes * (this.hasAverage ? PLANES.length : PLANES.length - 1);
    this.#memory = allocateMemory(this.sizeBytes);
    this.kernels = instantiateKernels(this.#memory);
  }

  tensor(name: string): ArenaTensor {
    const tensor = this.#byName.get(name);
    if (tensor) return tensor;
    throw new ArenaLayoutError({
      where: name,
      expected: `one of the ${this.tensors.length} trainable parameters`,
      got: 'an unknown name',
    });
  }

  /** Byte address of a tensor's elements in a plane, for the kernels. */
  addressOf(plane: Plane, tensor: ArenaTensor): number {
    if (plane === 'average' && !this.hasAverage) {
      throw new ArenaLayoutError({
        where: tensor.name,
        expected: 'an arena with a moving average',
        got: 'one without',
        hint: 'create it with { average: true }',
      });
    }
    return PLANES.indexOf(plane) * this.#planeBytes + tensor.offsetBytes;
  }

  view(plane: Plane, name: string): Float32Array<ArrayBuffer> {
    const tensor = this.tensor(name);
    return new Float32Array(this.#memory.buffer, this.addressOf(plane, tensor), tensor.length);
  }

  parameterOf(name: string): Float32Array<ArrayBuffer> {
    return this.view('parameter', name);
  }

  gradientOf(name: string): Float32Array<ArrayBuffer> {
    return this.view('gradient', name);
  }

  /** A tensor's state under AdamW: running means of its gradient and of its squared gradient. */
  momentsOf(name: string): { first: Float32Array<ArrayBuffer>; second: Float32Array<ArrayBuffer> } {
    return { first: this.view('firstMoment', name), second: this.view('secondMoment', name) };
  }

  averageOf(name: string): Float32Array<ArrayBuffer> {
    return this.view('average', name);
  }

  zeroGradients(): void {
    for (const tensor of this.tensors) {
      this.kernels.zeroFill(this.addressOf('gradient', tensor), tensor.length * FLOAT_BYTES);
    }
  }

  /** Copies all parameters in. The names and shapes must be exactly the arena's, and f32; else nothing changes. */
  loadParameters(values: WeightTable): void {
    this.requireParameters('trainable parameters', values);
    for (const { name } of this.tensors) copyElements(values.get(name)!, this.parameterOf(name));
  }

  /** Throws one {@link ShapeError} unless the names, shapes and dtypes are exactly those of the parameters. */
  requireParameters(where: string, values: WeightTable): void {
    const expected = this.tensors.map(({ name, shape }) => ({ name, shape, dtype: 'f32' as const }));
    requireExactTensors(where, expected, values);
    requireReadable(values);
  }

  /** The tensors of the named groups, in arena order; of all groups where none are named. */
  tensorsOf(groups: readonly string[] = this.groups): readonly ArenaTensor[] {
    const unknown = groups.filter((group) => !this.groups.includes(group));
    if (unknown.length > 0) {
      throw new ArenaLayoutError({
        where: 'parameter groups',
        expected: `some of ${this.groups.join(', ')}`,
        got: unknown.join(', '),
      });
    }
    return this.tensors.filter(({ group }) => groups.includes(group));
  }
}

/**
 * Throws one {@link ShapeError} that lists every missing, unexpected and mis-shaped tensor, unless `values`
 * has exactly the expected names, shapes and dtypes.
 */
export function requireExactTensors(
  where: string,
  expected: readonly Pick<HostTensor & { name: string }, 'name' | 'shape' | 'dtype'>[],
  values: WeightTable,
): void {
  const problems: string[] = [];
  for (const { name, shape, dtype } of expected) {
    const value = values.get(name);
    if (!value) problems.push(`${name} is missing`);
    else if (!sameShape(value.shape, shape) || value.dtype !== dtype) {
      const want = `${dtype} ${formatShape(shape)}`;
      problems.push(`${name} is ${value.dtype} ${formatShape(value.shape)} instead of ${want}`);
    }
  }
  const known = new Set(expected.map(({ name }) => name));
  for (const name of values.keys()) if (!known.has(name)) problems.push(`${name} is unexpected`);
  if (problems.length > 0) {
    throw new ShapeError({ where, expected: `exactly ${expected.length} tensors`, got: problems.join('; ') });
  }
}

function placeTensors(tensors: readonly TrainableTensor[]): { placed: ArenaTensor[]; planeBytes: number } {
  const names = new Set<string>();
  const finishedGroups = new Set<string>();
  const placed: ArenaTensor[] = [];
  let planeBytes = 0;
  for (const [index, { name, shape, group }] of tensors.entries()) {
    const refuse = (expected: string, got: string) => new ArenaLayoutError({ where: name, expected, got });
    if (names.has(name)) throw refuse('unique parameter names', 'this name twice');
    if (!shape.every((extent) => Number.isSafeInteger(extent) && extent >= 0)) {
      throw refuse('a shape of whole numbers', formatShape(shape));
    }
    const previous = tensors[index - 1]?.group;
    if (previous !== undefined && previous !== group) finishedGroups.add(previous);
    if (finishedGroups.has(group)) {
      throw refuse('the tensors of each group to stand together', `group ${group} a second time`);
    }
    names.add(name);
    const length = sizeOf(shape);
    placed.push({ name, shape, group, index, length, offsetBytes: planeBytes });
    planeBytes += Math.ceil((length * FLOAT_BYTES) / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
  }
  return { placed, planeBytes };
}

function allocateMemory(sizeBytes: number): WasmMemory {
  const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(2)} GiB`;
  const hint =
    'train fewer parameters (adapters or LoRA instead of all weights, or a smaller rank), or on a GPU, ' +
    'where the optimizer state stays on the device';
  if (sizeBytes > WASM_MEMORY_LIMIT_BYTES) {
    throw new ArenaSizeError({
      where: 'parameters, gradients and optimizer state',
      expected: `at most ${gibibytes(WASM_MEMORY_LIMIT_BYTES)}`,
      got: gibibytes(sizeBytes),
      hint,
    });
  }
  const pages = Math.ceil(sizeBytes / WASM_PAGE_BYTES);
  try {
    return new Memory({ initial: pages, maximum: pages });
  } catch (cause) {
    throw new ArenaSizeError({
      where: 'parameters, gradients and optimizer state',
      expected: `${gibibytes(sizeBytes)} of memory`,
      got: 'a refusal by the system',
      hint,
      cause,
    });
  }
}
