/**
 * A small, typed assembler for WebAssembly: expressions are TypeScript values whose type says which WASM type
 * they leave on the stack, so a kernel that mixes types does not compile. Only the instructions that the
 * optimizer kernels need; opcodes and encodings are those of the WebAssembly 2.0 core specification, section 5.
 */
export type ValueType = 'i32' | 'f32' | 'f64' | 'v128';

/** Code that leaves one value of type T on the stack. */
export interface Expression<T extends ValueType> {
  readonly type: T;
  readonly code: readonly number[];
}

/** Code that leaves the stack as it found it. */
export interface Statement {
  readonly type: 'none';
  readonly code: readonly number[];
}

const TYPE_CODE: Readonly<Record<ValueType, number>> = { i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b };
const EMPTY_BLOCK = 0x40;
const END = 0x0b;

function unsignedLeb(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const more = rest > 0x7f;
    bytes.push((rest & 0x7f) | (more ? 0x80 : 0));
    rest = Math.floor(rest / 0x80);
  } while (rest > 0);
  return bytes;
}

function signedLeb(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (;;) {
    const low = rest & 0x7f;
    rest >>= 7;
    const done = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
    bytes.push(done ? low : low | 0x80);
    if (done) return bytes;
  }
}

const vector = (opcode: number): number[] => [0xfd, ...unsignedLeb(opcode)];

/** An instruction over operands: the operands' code, then its own bytes. */
function expression<T extends ValueType>(
  type: T,
  instruction: readonly number[],
  ...operands: readonly Expression<ValueType>[]
): Expression<T> {
  return { type, code: [...operands.flatMap((operand) => operand.code), ...instruction] };
}

function statement(instruction: readonly number[], ...operands: readonly Expression<ValueType>[]): Statement {
  return { type: 'none', code: [...operands.flatMap((operand) => operand.code), ...instruction] };
}

type Unary<A extends ValueType, R extends ValueType> = (value: Expression<A>) => Expression<R>;
type Binary<A extends ValueType, R extends ValueType> = (
  left: Expression<A>,
  right: Expression<A>,
) => Expression<R>;

const unary =
  <A extends ValueType, R extends ValueType>(result: R, instruction: readonly number[]): Unary<A, R> =>
  (value) =>
    expression(result, instruction, value);
const binary =
  <A extends ValueType, R extends ValueType>(result: R, instruction: readonly number[]): Binary<A, R> =>
  (left, right) =>
    expression(result, instruction, left, right);

export const i32 = {
  constant: (value: number): Expression<'i32'> => expression('i32', [0x41, ...signedLeb(value)]),
  add: binary<'i32', 'i32'>('i32', [0x6a]),
  subtract: binary<'i32', 'i32'>('i32', [0x6b]),
  /** 1 where left ≥ right, both read as unsigned. */
  atLeast: binary<'i32', 'i32'>('i32', [0x4f]),
  isZero: unary<'i32', 'i32'>('i32', [0x45]),
};

export const f64 = { add: binary<'f64', 'f64'>('f64', [0xa0]) };

export const f32x4 = {
  splat: unary<'f32', 'v128'>('v128', vector(19)),
  add: binary<'v128', 'v128'>('v128', vector(228)),
  multiply: binary<'v128', 'v128'>('v128', vector(230)),
  divide: binary<'v128', 'v128'>('v128', vector(231)),
  squareRoot: unary<'v128', 'v128'>('v128', vector(227)),
};

export const f64x2 = {
  add: binary<'v128', 'v128'>('v128', vector(240)),
  multiply: binary<'v128', 'v128'>('v128', vector(242)),
  /** The two low f32 lanes, exactly, as f64. */
  promoteLow: unary<'v128', 'v128'>('v128', vector(95)),
  lane: (index: 0 | 1, value: Expression<'v128'>): Expression<'f64'> =>
    expression('f64', [...vector(33), index], value),
};

type Address = Expression<'i32'>;

/** Alignment (as a power of two) is a hint; the offset is added to the address without wrapping. */
const memoryArgument = (alignment: number, offset: number): number[] => [alignment, ...unsignedLeb(offset)];

/** Loads and stores at `address + offsetBytes`. */
export const memory = {
  /** Four f32. */
  load: (address: Address, offsetBytes = 0): Expression<'v128'> =>
    expression('v128', [...vector(0), ...memoryArgument(2, offsetBytes)], address),
  store: (address: Address, offsetBytes: number, value: Expression<'v128'>): Statement =>
    statement([...vector(11), ...memoryArgument(2, offsetBytes)], address, value),
  /** Two f32 into the low lanes, zero above. */
  loadTwo: (address: Address, offsetBytes = 0): Expression<'v128'> =>
    expression('v128', [...vector(93), ...memoryArgument(2, offsetBytes)], address),
  /** One f32 into the lowest lane, zero above. */
  loadOne: (address: Address, offsetBytes = 0): Expression<'v128'> =>
    expression('v128', [...vector(92), ...memoryArgument(2, offsetBytes)], address),
  /** The lowest f32 lane only. */
  storeOne: (address: Address, offsetBytes: number, value: Expression<'v128'>): Statement =>
    statement([...vector(90), ...memoryArgument(2, offsetBytes), 0], address, value),
  fill: (address: Address, byte: Expression<'i32'>, sizeBytes: Expression<'i32'>): Statement =>
    statement([0xfc, 11, 0], address, byte, sizeBytes),
};

/** while (condition) { body } with the test at the end of the loop. */
export function whileTrue(condition: Expression<'i32'>, body: readonly Statement[]): Statement {
  const repeat = statement([0x0d, 0], condition);
  const skip = statement([0x0d, 0], i32.isZero(condition));
  const loop = [0x03, EMPTY_BLOCK, ...body.flatMap((part) => part.code), ...repeat.code, END];
  return { type: 'none', code: [0x02, EMPTY_BLOCK, ...skip.code, ...loop, END] };
}

/** A parameter or local variable of a function. */
export class Variable<T extends ValueType> {
  readonly value: Expression<T>;
  readonly #index: number;

  constructor(type: T, index: number) {
    this.#index = index;
    this.value = expression(type, [0x20, ...unsignedLeb(index)]);
  }

  set(value: Expression<T>): Statement {
    return statement([0x21, ...unsignedLeb(this.#index)], value);
  }
}

type Signature = Readonly<Record<string, ValueType>>;
type Variables<S extends Signature> = { readonly [Name in keyof S]: Variable<S[Name]> };

/** An assembled function, ready for {@link assembleModule}. */
export interface AssembledFunction {
  readonly name: string;
  readonly parameters: readonly ValueType[];
  readonly result: ValueType | undefined;
  readonly locals: readonly ValueType[];
  readonly code: readonly number[];
}

/** Assembles one function. Parameters are passed in the order of the record; locals start at zero. */
export function assembleFunction<P extends Signature, L extends Signature>(
  name: string,
  parameters: P,
  locals: L,
  write: (variables: Variables<P & L>) => {
    readonly body: readonly Statement[];
    readonly result?: Expression<ValueType>;
  },
): AssembledFunction {
  const entries = [...Object.entries(parameters), ...Object.entries(locals)];
  const variables = Object.fromEntries(
    entries.map(([variable, type], index) => [variable, new Variable(type, index)]),
  );
  const { body, result } = write(variables as unknown as Variables<P & L>);
  return {
    name,
    parameters: Object.values(parameters),
    result: result?.type,
    locals: Object.values(locals),
    code: [...body.flatMap((part) => part.code), ...(result?.code ?? [])],
  };
}

const sized = (bytes: readonly number[]): number[] => [...unsignedLeb(bytes.length), ...bytes];
const list = (items: readonly (readonly number[])[]): number[] => [
  ...unsignedLeb(items.length),
  ...items.flat(),
];
const text = (value: string): number[] => sized([...new TextEncoder().encode(value)]);
const section = (id: number, items: readonly (readonly number[])[]): number[] => [id, ...sized(list(items))];

/** A module that imports its memory as `arena.memory` and exports every function by its name. */
export function assembleModule(functions: readonly AssembledFunction[]): Uint8Array<ArrayBuffer> {
  const types = functions.map(({ parameters, result }) => [
    0x60,
    ...list(parameters.map((type) => [TYPE_CODE[type]])),
    ...list(result ? [[TYPE_CODE[result]]] : []),
  ]);
  const importedMemory = [...text('arena'), ...text('memory'), 0x02, 0x00, 0x00];
  const bodies = functions.map(({ locals, code }) =>
    sized([...list(locals.map((type) => [1, TYPE_CODE[type]])), ...code, END]),
  );
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, types),
    ...section(2, [importedMemory]),
    ...section(
      3,
      functions.map((_, index) => unsignedLeb(index)),
    ),
    ...section(
      7,
      functions.map(({ name }, index) => [...text(name), 0x00, ...unsignedLeb(index)]),
    ),
    ...section(10, bodies),
  ]);
}
