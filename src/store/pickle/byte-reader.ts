import { FileFormatError } from '../../tensor/errors.ts';

// Longer lines or integers have no place in a tensor file, and converting them costs quadratic time.
const MAX_LINE_BYTES = 4096;
const MAX_INTEGER_BYTES = 1024;
const NEWLINE = 0x0a;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Reads a pickle byte by byte; every step past the end is a {@link FileFormatError}. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #name: string;
  #position: number;

  constructor(bytes: Uint8Array, name: string, start = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#name = name;
    this.#position = start;
  }

  get position(): number {
    return this.#position;
  }

  /** The place of the byte read last, for errors. */
  get where(): string {
    return `${this.#name}: byte ${this.#position - 1}`;
  }

  error(expected: string, got: string, cause?: unknown): FileFormatError {
    return new FileFormatError({ where: this.where, expected, got, cause });
  }

  byte(): number {
    return this.#view.getUint8(this.#take(1));
  }

  uint16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  int32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  uint64(): number {
    const value = this.#view.getBigUint64(this.#take(8), true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.error('a length below 2^53', `${value}`);
    return Number(value);
  }

  /** Big-endian, as pickle writes its BINFLOAT. */
  float64(): number {
    return this.#view.getFloat64(this.#take(8), false);
  }

  /** A two's complement little-endian integer: a number where it is safe, else a bigint. */
  integer(length: number): number | bigint {
    if (length > MAX_INTEGER_BYTES)
      throw this.error(`an integer of at most ${MAX_INTEGER_BYTES} bytes`, `${length}`);
    const bytes = this.bytes(length);
    let value = 0n;
    for (let index = length - 1; index >= 0; index--) value = (value << 8n) | BigInt(bytes[index]);
    return narrow(BigInt.asIntN(8 * length, value));
  }

  bytes(length: number): Uint8Array {
    const start = this.#take(length);
    return this.#bytes.subarray(start, start + length);
  }

  utf8(length: number): string {
    // Python's surrogatepass form is not UTF-8 and no tensor name needs it.
    const bytes = this.bytes(length);
    try {
      return UTF8.decode(bytes);
    } catch (cause) {
      throw this.error('valid UTF-8', 'bytes that are not', cause);
    }
  }

  latin1(length: number): string {
    return Buffer.from(this.bytes(length)).toString('latin1');
  }

  /** Text up to the next newline, which is consumed. */
  line(): string {
    const end = this.#bytes.indexOf(NEWLINE, this.#position);
    const length = end - this.#position;
    if (end < 0 || length > MAX_LINE_BYTES) {
      throw this.error(
        `a line of at most ${MAX_LINE_BYTES} bytes`,
        end < 0 ? 'no end of line' : `${length} bytes`,
      );
    }
    const text = this.utf8(length);
    this.#take(1);
    return text;
  }

  #take(length: number): number {
    const start = this.#position;
    if (length < 0 || length > this.#bytes.byteLength - start) {
      throw this.error(`${length} more bytes`, `${this.#bytes.byteLength - start}, the end of the pickle`);
    }
    this.#position += length;
    return start;
  }
}

/** A number where it holds the value exactly, else the bigint itself. */
export function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
