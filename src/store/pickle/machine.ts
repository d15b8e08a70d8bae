import type { ByteReader } from './byte-reader.ts';
import {
  describeValue,
  isKind,
  type PickleDict,
  type PickleGlobal,
  type PickleKey,
  type PickleStorage,
  type PickleValue,
} from './value.ts';

/** What the pickle may name, and what a call of it gives. Every method throws on what it does not know. */
export interface PickleWorld {
  global(module: string, name: string, where: string): PickleGlobal;
  reduce(callee: PickleGlobal, args: readonly PickleValue[], where: string): PickleValue;
  persistent(id: PickleValue, where: string): PickleStorage;
}

/** The state of a pickle that is being read: a stack with marks, and a memo. */
export class Machine {
  readonly reader: ByteReader;
  readonly world: PickleWorld;
  readonly #stack: PickleValue[] = [];
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, PickleValue>();

  constructor(reader: ByteReader, world: PickleWorld) {
    this.reader = reader;
    this.world = world;
  }

  push(value: PickleValue): void {
    this.#stack.push(value);
  }

  pop(): PickleValue {
    if (this.#stack.length <= (this.#marks.at(-1) ?? 0))
      throw this.reader.error('a value on the stack', 'none');
    return this.#stack.pop() as PickleValue;
  }

  top(): PickleValue {
    const value = this.pop();
    this.#stack.push(value);
    return value;
  }

  mark(): void {
    this.#marks.push(this.#stack.length);
  }

  /** Everything above the last mark, which goes too. */
  popToMark(): PickleValue[] {
    const start = this.#marks.pop();
    if (start === undefined) throw this.reader.error('a mark on the stack', 'none');
    return this.#stack.splice(start);
  }

  /** POP also takes away a mark that lies on top. */
  discard(): void {
    if (this.#marks.at(-1) === this.#stack.length) this.#marks.pop();
    else this.pop();
  }

  remember(index: number): void {
    this.#memo.set(index, this.top());
  }

  memoize(): void {
    this.remember(this.#memo.size);
  }

  recall(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) throw this.reader.error(`value ${index} of the memo`, 'nothing');
    this.push(value);
  }

  /** The only value left at STOP. */
  result(): PickleValue {
    const value = this.pop();
    if (this.#stack.length > 0 || this.#marks.length > 0)
      throw this.reader.error('one value at the end', 'more');
    return value;
  }

  popString(): string {
    const value = this.pop();
    if (typeof value !== 'string') throw this.reader.error('a string', describeValue(value));
    return value;
  }

  appendToList(items: readonly PickleValue[]): void {
    const list = this.top();
    if (!Array.isArray(list)) throw this.reader.error('a list to append to', describeValue(list));
    for (const item of items) list.push(item);
  }

  setItems(items: readonly PickleValue[]): void {
    const dict = this.top();
    if (!isKind(dict, 'dict')) throw this.reader.error('a dict to put items into', describeValue(dict));
    if (items.length % 2 !== 0) throw this.reader.error('pairs of key and value', `${items.length} values`);
    for (let index = 0; index < items.length; index += 2) {
      dict.items.set(this.#keyOf(items[index]), items[index + 1]);
    }
  }

  reduce(): void {
    const args = this.pop();
    const callee = this.pop();
    const { where } = this.reader;
    if (!isKind(callee, 'global')) throw this.reader.error('an allowed name to call', describeValue(callee));
    if (!isKind(args, 'tuple')) throw this.reader.error('a tuple of arguments', describeValue(args));
    this.push(this.world.reduce(callee, args.items, where));
  }

  /** Attributes of an OrderedDict (module versions) are of no use and are dropped; all else is refused. */
  build(): void {
    const state = this.pop();
    const target = this.top();
    if (!isKind(target, 'dict') || !target.ordered || !isKind(state, 'dict')) {
      throw this.reader.error(
        'attributes of an OrderedDict',
        `${describeValue(state)} for ${describeValue(target)}`,
      );
    }
  }

  #keyOf(value: PickleValue): PickleKey {
    if (value === null || typeof value !== 'object') return value;
    throw this.reader.error('a key that is a string or a number', describeValue(value));
  }
}

export function emptyDict(ordered = false): PickleDict {
  return { kind: 'dict', ordered, items: new Map() };
}
