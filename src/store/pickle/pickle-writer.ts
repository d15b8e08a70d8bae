import type { DType } from '../../tensor/dtype.ts';
import type { Shape } from '../../tensor/shape.ts';
import { sizeOf, stridesOf } from '../../tensor/shape.ts';
import { STORAGE_DTYPES } from './torch-world.ts';

/** A dense tensor to be named in a pickle; its elements are the storage `key`. */
export interface PickledParameter {
  readonly name: string;
  readonly key: string;
  readonly dtype: DType;
  readonly shape: Shape;
}

const STORAGE_NAMES = new Map(Object.entries(STORAGE_DTYPES).map(([name, dtype]) => [dtype, name]));
const FLOAT_DTYPES: readonly DType[] = ['f64', 'f32', 'f16', 'bf16'];

const MARK = [0x28];
const EMPTY_TUPLE = [0x29];
const REDUCE = [0x52];
const BINPERSID = [0x51];
const TUPLE = [0x74];
const NEWTRUE = [0x88];
const NEWFALSE = [0x89];

/**
 * The pickle (protocol 2) of a dict name → torch.nn.Parameter, or plain tensor where the dtype is not a
 * float: torch does not differentiate those.
 */
export function encodeParameterDict(parameters: readonly PickledParameter[]): Uint8Array {
  const writer = new PickleWriter();
  writer.put([0x80, 2]); // PROTO
  writer.put([0x7d], MARK); // EMPTY_DICT
  for (const parameter of parameters) {
    writer.text(parameter.name);
    if (FLOAT_DTYPES.includes(parameter.dtype)) {
      writer.global('torch._utils', '_rebuild_parameter');
      writer.put(MARK);
      tensor(writer, parameter);
      writer.put(NEWTRUE);
      emptyOrderedDict(writer);
      writer.put(TUPLE, REDUCE);
    } else {
      tensor(writer, parameter);
    }
  }
  writer.put([0x75], [0x2e]); // SETITEMS, STOP
  return writer.bytes();
}

function tensor(writer: PickleWriter, { key, dtype, shape }: PickledParameter): void {
  writer.global('torch._utils', '_rebuild_tensor_v2');
  writer.put(MARK, MARK);
  writer.text('storage');
  writer.global('torch', STORAGE_NAMES.get(dtype)!.slice('torch.'.length));
  writer.text(key);
  writer.text('cpu');
  writer.integer(sizeOf(shape));
  writer.put(TUPLE, BINPERSID);
  writer.integer(0);
  writer.integers(shape);
  writer.integers(stridesOf(shape));
  writer.put(NEWFALSE);
  emptyOrderedDict(writer);
  writer.put(TUPLE, REDUCE);
}

function emptyOrderedDict(writer: PickleWriter): void {
  writer.global('collections', 'OrderedDict');
  writer.put(EMPTY_TUPLE, REDUCE);
}

const UTF8 = new TextEncoder();

class PickleWriter {
  readonly #pieces: Uint8Array[] = [];
  readonly #memo = new Map<string, number>();

  put(...codes: readonly number[][]): void {
    for (const code of codes) this.#pieces.push(Uint8Array.from(code));
  }

  text(text: string): void {
    const bytes = UTF8.encode(text);
    this.#uint32(0x58, bytes.byteLength); // BINUNICODE
    this.#pieces.push(bytes);
  }

  /** A name; the second time it is taken from the memo. */
  global(module: string, name: string): void {
    const index = this.#memo.get(`${module}.${name}`);
    if (index !== undefined) {
      this.put([0x68, index]); // BINGET
      return;
    }
    this.#pieces.push(UTF8.encode(`c${module}\n${name}\n`)); // GLOBAL
    this.put([0x71, this.#memo.size]); // BINPUT
    this.#memo.set(`${module}.${name}`, this.#memo.size);
  }

  integers(values: readonly number[]): void {
    this.put(MARK);
    for (const value of values) this.integer(value);
    this.put(TUPLE);
  }

  integer(value: number): void {
    if (value < 0x80000000) {
      this.#uint32(0x4a, value); // BININT
      return;
    }
    const piece = Uint8Array.of(0x8a, 8, 0, 0, 0, 0, 0, 0, 0, 0); // LONG1
    new DataView(piece.buffer).setBigInt64(2, BigInt(value), true);
    this.#pieces.push(piece);
  }

  bytes(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.#pieces));
  }

  #uint32(code: number, value: number): void {
    const piece = Uint8Array.of(code, 0, 0, 0, 0);
    new DataView(piece.buffer).setUint32(1, value, true);
    this.#pieces.push(piece);
  }
}
