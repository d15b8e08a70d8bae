import { ByteReader, narrow } from './byte-reader.ts';
import { emptyDict, Machine, type PickleWorld } from './machine.ts';
import type { PickleValue } from './value.ts';

type Instruction = readonly [name: string, run: (machine: Machine) => void];

const MAX_PROTOCOL = 5;

const tuple = (items: readonly PickleValue[]): PickleValue => ({ kind: 'tuple', items });

/** The last `count` values, in the order in which they were pushed. */
function popSeveral(machine: Machine, count: number): PickleValue[] {
  const items: PickleValue[] = [];
  for (let index = 0; index < count; index++) items.unshift(machine.pop());
  return items;
}

function pushDict(machine: Machine, items: readonly PickleValue[]): void {
  machine.push(emptyDict());
  machine.setItems(items);
}

function pushGlobal(machine: Machine, module: string, name: string): void {
  machine.push(machine.world.global(module, name, machine.reader.where));
}

function textInteger({ reader }: Machine, text: string): number | bigint {
  if (!/^[+-]?\d{1,1000}L?$/.test(text)) throw reader.error('a decimal integer', JSON.stringify(text));
  return narrow(BigInt(text.replace(/^\+|L$/g, '')));
}

function quotedText({ reader }: Machine): string {
  const text = reader.line();
  const quote = text[0];
  const inner = text.slice(1, -1);
  if (text.length < 2 || (quote !== "'" && quote !== '"') || text.at(-1) !== quote || /[\\'"]/.test(inner)) {
    throw reader.error('a quoted string without escapes', JSON.stringify(text));
  }
  return inner;
}

/** An instruction that would make an object of a class, or data that torch.save never writes. */
const refused = (name: string): Instruction => [
  name,
  ({ reader }) => {
    throw reader.error('only tensors, dicts, lists and plain values', `the pickle instruction ${name}`);
  },
];

/** All instructions of pickle protocols 0 to 5 (CPython, Lib/pickletools.py). */
const INSTRUCTIONS: ReadonlyMap<number, Instruction> = new Map<number, Instruction>([
  // Structure
  [0x80, ['PROTO', ({ reader }) => checkProtocol(reader)]],
  [0x95, ['FRAME', ({ reader }) => void reader.uint64()]],
  [0x28, ['MARK', (m) => m.mark()]],
  [0x30, ['POP', (m) => m.discard()]],
  [0x31, ['POP_MARK', (m) => void m.popToMark()]],
  [0x32, ['DUP', (m) => m.push(m.top())]],
  [0x70, ['PUT', (m) => m.remember(Number(textInteger(m, m.reader.line())))]],
  [0x71, ['BINPUT', (m) => m.remember(m.reader.byte())]],
  [0x72, ['LONG_BINPUT', (m) => m.remember(m.reader.uint32())]],
  [0x94, ['MEMOIZE', (m) => m.memoize()]],
  [0x67, ['GET', (m) => m.recall(Number(textInteger(m, m.reader.line())))]],
  [0x68, ['BINGET', (m) => m.recall(m.reader.byte())]],
  [0x6a, ['LONG_BINGET', (m) => m.recall(m.reader.uint32())]],
  // Plain values
  [0x4e, ['NONE', (m) => m.push(null)]],
  [0x88, ['NEWTRUE', (m) => m.push(true)]],
  [0x89, ['NEWFALSE', (m) => m.push(false)]],
  [0x49, ['INT', pushTextInteger]],
  [0x4c, ['LONG', (m) => m.push(textInteger(m, m.reader.line()))]],
  [0x4a, ['BININT', (m) => m.push(m.reader.int32())]],
  [0x4b, ['BININT1', (m) => m.push(m.reader.byte())]],
  [0x4d, ['BININT2', (m) => m.push(m.reader.uint16())]],
  [0x8a, ['LONG1', (m) => m.push(m.reader.integer(m.reader.byte()))]],
  [0x8b, ['LONG4', (m) => m.push(m.reader.integer(m.reader.uint32()))]],
  [0x46, ['FLOAT', pushTextFloat]],
  [0x47, ['BINFLOAT', (m) => m.push(m.reader.float64())]],
  [0x53, ['STRING', (m) => m.push(quotedText(m))]],
  [0x54, ['BINSTRING', (m) => m.push(m.reader.latin1(m.reader.uint32()))]],
  [0x55, ['SHORT_BINSTRING', (m) => m.push(m.reader.latin1(m.reader.byte()))]],
  [0x56, ['UNICODE', (m) => m.push(m.reader.line())]],
  [0x58, ['BINUNICODE', (m) => m.push(m.reader.utf8(m.reader.uint32()))]],
  [0x8c, ['SHORT_BINUNICODE', (m) => m.push(m.reader.utf8(m.reader.byte()))]],
  [0x8d, ['BINUNICODE8', (m) => m.push(m.reader.utf8(m.reader.uint64()))]],
  [0x42, ['BINBYTES', (m) => m.push(m.reader.bytes(m.reader.uint32()))]],
  [0x43, ['SHORT_BINBYTES', (m) => m.push(m.reader.bytes(m.reader.byte()))]],
  [0x8e, ['BINBYTES8', (m) => m.push(m.reader.bytes(m.reader.uint64()))]],
  // Containers
  [0x29, ['EMPTY_TUPLE', (m) => m.push(tuple([]))]],
  [0x74, ['TUPLE', (m) => m.push(tuple(m.popToMark()))]],
  [0x85, ['TUPLE1', (m) => m.push(tuple(popSeveral(m, 1)))]],
  [0x86, ['TUPLE2', (m) => m.push(tuple(popSeveral(m, 2)))]],
  [0x87, ['TUPLE3', (m) => m.push(tuple(popSeveral(m, 3)))]],
  [0x5d, ['EMPTY_LIST', (m) => m.push([])]],
  [0x6c, ['LIST', (m) => m.push(m.popToMark())]],
  [0x61, ['APPEND', (m) => m.appendToList(popSeveral(m, 1))]],
  [0x65, ['APPENDS', (m) => m.appendToList(m.popToMark())]],
  [0x7d, ['EMPTY_DICT', (m) => m.push(emptyDict())]],
  [0x64, ['DICT', (m) => pushDict(m, m.popToMark())]],
  [0x73, ['SETITEM', (m) => m.setItems(popSeveral(m, 2))]],
  [0x75, ['SETITEMS', (m) => m.setItems(m.popToMark())]],
  // Names: each is looked up in the allow-list as soon as it is read, whether or not it is called
  [0x63, ['GLOBAL', (m) => pushGlobal(m, m.reader.line(), m.reader.line())]],
  [0x93, ['STACK_GLOBAL', pushGlobalFromStack]],
  [0x69, ['INST', pushInstance]],
  [0x52, ['REDUCE', (m) => m.reduce()]],
  [0x62, ['BUILD', (m) => m.build()]],
  [0x51, ['BINPERSID', (m) => m.push(m.world.persistent(m.pop(), m.reader.where))]],
  [0x50, refused('PERSID')],
  [0x6f, refused('OBJ')],
  [0x81, refused('NEWOBJ')],
  [0x92, refused('NEWOBJ_EX')],
  [0x82, refused('EXT1')],
  [0x83, refused('EXT2')],
  [0x84, refused('EXT4')],
  [0x8f, refused('EMPTY_SET')],
  [0x90, refused('ADDITEMS')],
  [0x91, refused('FROZENSET')],
  [0x96, refused('BYTEARRAY8')],
  [0x97, refused('NEXT_BUFFER')],
  [0x98, refused('READONLY_BUFFER')],
]);

const STOP = 0x2e;

/**
 * Reads one pickle from `bytes` at `start` into plain data, without running anything: a name that `world`
 * does not allow, or an instruction that would build an object, is a FileFormatError that names it.
 * Returns the value and the position after it.
 */
export function interpretPickle(
  bytes: Uint8Array,
  world: PickleWorld,
  where: string,
  start = 0,
): { value: PickleValue; end: number } {
  const reader = new ByteReader(bytes, where, start);
  const machine = new Machine(reader, world);
  for (;;) {
    const code = reader.byte();
    if (code === STOP) return { value: machine.result(), end: reader.position };
    const instruction = INSTRUCTIONS.get(code);
    if (!instruction)
      throw reader.error('a pickle instruction', `byte 0x${code.toString(16).padStart(2, '0')}`);
    instruction[1](machine);
  }
}

function checkProtocol(reader: ByteReader): void {
  const protocol = reader.byte();
  if (protocol > MAX_PROTOCOL) throw reader.error(`pickle protocol up to ${MAX_PROTOCOL}`, `${protocol}`);
}

function pushTextInteger(machine: Machine): void {
  const text = machine.reader.line();
  // Protocol 0 writes truth values this way.
  if (text === '00' || text === '01') machine.push(text === '01');
  else machine.push(textInteger(machine, text));
}

function pushTextFloat(machine: Machine): void {
  const text = machine.reader.line();
  const value = Number(text);
  if (!/^[-+.\de]+$/i.test(text) || Number.isNaN(value))
    throw machine.reader.error('a number', JSON.stringify(text));
  machine.push(value);
}

function pushGlobalFromStack(machine: Machine): void {
  const name = machine.popString();
  pushGlobal(machine, machine.popString(), name);
}

/** INST names a class and calls it at once. Even an allowed name is refused: torch.save never does this. */
function pushInstance(machine: Machine): void {
  pushGlobal(machine, machine.reader.line(), machine.reader.line());
  refused('INST')[1](machine);
}
