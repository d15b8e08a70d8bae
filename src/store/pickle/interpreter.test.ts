import { describe, expect, it } from 'vitest';
import { FileFormatError } from '../../tensor/errors.ts';
import { interpretPickle } from './interpreter.ts';
import { torchWorld } from './torch-world.ts';
import { isKind, type PickleStorage, type PickleValue } from './value.ts';

type Part = string | number | Uint8Array;

/** Bytes from latin-1 text, single bytes and byte arrays; a STOP is added. */
function pickle(...parts: Part[]): Uint8Array {
  const bytes = parts.map((part) => (typeof part === 'number' ? [part] : [...asBytes(part)]));
  return Uint8Array.from([...bytes.flat(), 0x2e]);
}

function asBytes(part: string | Uint8Array): Uint8Array {
  return typeof part === 'string' ? Buffer.from(part, 'latin1') : part;
}

function read(bytes: Uint8Array, storages: PickleStorage[] = []): PickleValue {
  const world = torchWorld((storage) => storages.push(storage));
  const { value, end } = interpretPickle(bytes, world, 'test.pkl');
  expect(end).toBe(bytes.length);
  return value;
}

/** BINUNICODE. */
function text(value: string): Uint8Array {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return Buffer.concat([Buffer.from('X'), length, bytes]);
}

/** BININT. */
function int(value: number): Uint8Array {
  const bytes = Buffer.from('J\0\0\0\0');
  bytes.writeInt32LE(value, 1);
  return bytes;
}

const ints = (...values: number[]): Uint8Array =>
  Buffer.concat([Buffer.from('('), ...values.map(int), Buffer.from('t')]);
const join = (...parts: Part[]): Uint8Array => pickle(...parts).subarray(0, -1);

const ORDERED_DICT = 'ccollections\nOrderedDict\n)R';
const storage = (length: Uint8Array = int(24), type = 'FloatStorage', key: Uint8Array = text('0')) =>
  join('(', text('storage'), `ctorch\n${type}\n`, key, text('cpu'), length, 'tQ');

interface TensorParts {
  storage?: Uint8Array;
  offset?: Uint8Array;
  shape?: Uint8Array;
  strides?: Uint8Array;
  hooks?: Part;
  rest?: Part;
}

const tensor = ({
  storage: from = storage(),
  offset = int(0),
  shape = ints(4, 6),
  strides = ints(6, 1),
  hooks = ORDERED_DICT,
  rest = '',
}: TensorParts = {}) =>
  join('ctorch._utils\n_rebuild_tensor_v2\n(', from, offset, shape, strides, 0x89, hooks, rest, 'tR');

describe('plain values', () => {
  it.each<[string, Uint8Array, unknown]>([
    ['None', pickle('N'), null],
    ['truth values', pickle('(', 0x88, 0x89, 'I01\nI00\nl'), [true, false, true, false]],
    ['small integers', pickle('(K', 200, 'M', 1, 2, int(-5), 'I12\nL-7L\nl'), [200, 513, -5, 12, -7]],
    ['LONG1', pickle('(', 0x8a, 0, 0x8a, 1, 0xff, 0x8a, 2, 0xff, 0x00, 'l'), [0, -1, 255]],
    ['2^53 and more stay exact', pickle(0x8a, 8, 1, 0, 0, 0, 0, 0, 0x20, 0), 2n ** 53n + 1n],
    ['LONG4', pickle(0x8b, 1, 0, 0, 0, 0x80), -128],
    ['floats', pickle('(G', Buffer.from('3ff8000000000000', 'hex'), 'F-2.5e1\nl'), [1.5, -25]],
    ['strings', pickle('(', text('ü'), 0x8c, 1, 'a', "S'b'\nVc\nU", 1, 0xe9, 'l'), ['ü', 'a', 'b', 'c', 'é']],
    ['bytes', pickle('C', 2, 1, 2), Uint8Array.of(1, 2)],
    ['lists', pickle('](K', 1, 'K', 2, 'eNa'), [1, 2, null]],
    ['the memo', pickle('(', text('x'), 'q', 7, 'h', 7, 0x94, 'h', 1, 'p90\n0g90\nl'), ['x', 'x', 'x']],
    ['POP and DUP', pickle('(K', 1, '2K', 9, '0(l0(K', 3, '1l'), [1, 1]],
  ])('%s', (_, bytes, expected) => {
    expect(read(bytes)).toEqual(expected);
  });

  it('dicts keep their order, and OrderedDict attributes are dropped', () => {
    for (const bytes of [
      pickle('(', text('b'), 'K', 1, text('a'), 'K', 2, 'd'),
      pickle('}(', text('b'), 'K', 1, text('a'), 'K', 2, 'u'),
      pickle('}', text('b'), 'K', 1, 's', text('a'), 'K', 2, 's'),
      pickle(ORDERED_DICT, '(', text('b'), 'K', 1, text('a'), 'K', 2, 'u}', text('_metadata'), 'N', 'sb'),
    ]) {
      const value = read(bytes);
      expect(isKind(value, 'dict') && [...value.items]).toEqual([
        ['b', 1],
        ['a', 2],
      ]);
    }
  });

  it('tuples of each size, and torch.Size', () => {
    const value = read(
      pickle('()K', 1, 0x85, 'K', 1, 'K', 2, 0x86, 'NNN', 0x87, 'ctorch\nSize\n', ints(3), 0x85, 'Rt'),
    );
    const items = isKind(value, 'tuple') ? value.items : [];
    expect(items.map((item) => isKind(item, 'tuple') && item.items)).toEqual([
      [],
      [1],
      [1, 2],
      [null, null, null],
      [3],
    ]);
  });

  it('nesting of any depth needs no recursion', () => {
    const depth = 300_000;
    expect(read(pickle(']'.repeat(depth), 'a'.repeat(depth - 1)))).toHaveLength(1);
  });
});

describe('tensors', () => {
  it('are views of storages', () => {
    const storages: PickleStorage[] = [];
    const value = read(
      pickle('(', tensor(), tensor({ offset: int(1), shape: ints(3), strides: ints(6) }), 'l'),
      storages,
    );
    expect(storages).toEqual([{ kind: 'storage', dtype: 'f32', key: '0', length: 24 }]);
    const [storageOfBoth] = storages;
    expect(value).toEqual([
      { kind: 'tensor', storage: storageOfBoth, offset: 0, shape: [4, 6], strides: [6, 1] },
      { kind: 'tensor', storage: storageOfBoth, offset: 1, shape: [3], strides: [6] },
    ]);
  });

  it('parameters, empty and scalar tensors, empty metadata', () => {
    const parameter = ['ctorch._utils\n_rebuild_parameter\n(', tensor(), 0x88, ORDERED_DICT, 'tR'];
    const empty = tensor({ storage: storage(int(0)), shape: ints(0, 3), strides: ints(3, 1), rest: '}' });
    const scalar = tensor({ offset: int(23), shape: ints(), strides: ints(), hooks: 'N', rest: 'N' });
    for (const bytes of [pickle(...parameter), pickle(empty), pickle(scalar)]) {
      expect(isKind(read(bytes), 'tensor')).toBe(true);
    }
  });

  const wide = Uint8Array.of(0x8a, 8, 0, 0, 0, 0, 0, 0, 0x10, 0); // 2^52
  it.each<[string, Uint8Array, RegExp]>([
    [
      'past the end',
      tensor({ offset: int(1) }),
      /inside its 24 elements, got \[4,6\] with strides \[6,1\] from 1/,
    ],
    ['past the end by its stride', tensor({ strides: ints(7, 1) }), /inside its 24/],
    ['of an empty storage', tensor({ storage: storage(int(0)) }), /inside its 0/],
    [
      'empty, but far outside',
      tensor({ shape: ints(0), strides: ints(1), offset: int(25) }),
      /inside its 24/,
    ],
    ['negative offset', tensor({ offset: int(-1) }), /offset: expected a whole number.*got -1/],
    ['negative size', tensor({ shape: ints(-4, 6) }), /size: expected a whole number/],
    ['negative stride', tensor({ strides: ints(-6, 1) }), /stride: expected a whole number/],
    ['too few strides', tensor({ strides: ints(1) }), /2 strides/],
    ['2^52 elements of stride 0', tensor({ shape: join('(', wide, 't'), strides: ints(0) }), /inside/],
    ['offset that is no integer', tensor({ offset: text('0') }), /got a string/],
    ['offset of 2^53 + 1', tensor({ offset: join(0x8a, 8, 1, 0, 0, 0, 0, 0, 0x20, 0) }), /got a bigint/],
    ['without a storage', tensor({ storage: join('N') }), /a storage, got None/],
    ['with hooks', tensor({ hooks: join('}', text('h'), 'Ns') }), /without hooks/],
    ['conjugated', tensor({ rest: join('}', text('conj'), 0x88, 's') }), /no tensor metadata/],
    ['too many arguments', tensor({ rest: 'NN' }), /6 to 7 arguments, got 8/],
    [
      'a parameter of nothing',
      join('ctorch._utils\n_rebuild_parameter\n(N', 0x88, 'NtR'),
      /a tensor as parameter/,
    ],
    ['storage of an unknown type', storage(int(1), 'ComplexFloatStorage'), /"torch.ComplexFloatStorage"/],
    [
      'storage typed by a function',
      join('(', text('storage'), 'ctorch\nSize\n', text('0'), text('cpu'), int(1), 'tQ'),
      /storage type/,
    ],
    ['storage of negative length', storage(int(-1)), /whole number/],
    ['storage with a number as key', storage(int(1), 'FloatStorage', int(0)), /key that is a string/],
    [
      'storage twice, other length',
      join('(', storage(int(4)), storage(int(5)), 't'),
      /expected 4 f32, as before, got 5 f32/,
    ],
    ['storage twice, other type', join('(', storage(), storage(int(24), 'IntStorage'), 't'), /24 i32/],
    [
      'a view of a storage',
      join('(', text('storage'), 'ctorch\nIntStorage\n', text('0'), text('cpu'), int(1), ints(1), 'tQ'),
      /persistent id/,
    ],
    ['another persistent id', join(text('module'), 'Q'), /persistent id/],
  ])('refused: %s', (_, bytes, message) => {
    expect(() => read(pickle(bytes))).toThrow(FileFormatError);
    expect(() => read(pickle(bytes))).toThrow(message);
  });
});

describe('what could run code is refused by name', () => {
  it.each<[string, Uint8Array, string]>([
    ['GLOBAL', pickle('cos\nsystem\n', text('true'), 0x85, 'R'), '"os.system"'],
    ['GLOBAL that is never called', pickle('}', text('x'), 'cbuiltins\neval\ns'), '"builtins.eval"'],
    ['protocol 0', pickle("cposix\nsystem\np0\n(S'true'\ntR"), '"posix.system"'],
    ['STACK_GLOBAL', pickle(0x8c, 2, 'os', 0x8c, 6, 'system', 0x93, ')R'), '"os.system"'],
    [
      'STACK_GLOBAL from the memo',
      pickle(text('system'), 'q', 0, '0', text('nt'), 'h', 0, 0x93),
      '"nt.system"',
    ],
    ['INST', pickle("(S'true'\nios\nsystem\n"), '"os.system"'],
    ['INST of an allowed name', pickle('(icollections\nOrderedDict\n'), 'INST'],
    ['OBJ', pickle('(ccollections\nOrderedDict\no'), 'OBJ'],
    ['NEWOBJ', pickle('ccollections\nOrderedDict\n)', 0x81), 'NEWOBJ'],
    ['NEWOBJ_EX', pickle('ccollections\nOrderedDict\n)}', 0x92), 'NEWOBJ_EX'],
    ['extension registry', pickle(0x82, 1), 'EXT1'],
    ['text persistent id', pickle('Pid\n'), 'PERSID'],
    ['torch itself', pickle('ctorch.storage\n_load_from_bytes\n'), '"torch.storage._load_from_bytes"'],
    ['numpy', pickle('cnumpy.core.multiarray\n_reconstruct\n'), '"numpy.core.multiarray._reconstruct"'],
    [
      'a name inside an allowed one',
      pickle('ccollections\nOrderedDict.__init__\n'),
      '"collections.OrderedDict.__init__"',
    ],
    ['names of JavaScript', pickle('c\nconstructor\n'), '".constructor"'],
    ['a storage type called', pickle('ctorch\nFloatStorage\n(tR'), 'the global torch.FloatStorage'],
    ['data called', pickle('](tR'), 'a list'],
    ['a tensor called', pickle(tensor(), ')R'), 'a tensor'],
    ['OrderedDict with arguments', pickle('ccollections\nOrderedDict\n(NtR'), '0 arguments, got 1'],
    [
      'arguments that are a list',
      pickle('ccollections\nOrderedDict\n]R'),
      'a tuple of arguments, got a list',
    ],
    ['attributes of a dict', pickle('}}b'), 'a dict for a dict'],
    ['attributes of a tensor', pickle(tensor(), '}b'), 'a dict for a tensor'],
    ['attributes of a name', pickle('ctorch\nSize\n}b'), 'a dict for the global torch.Size'],
    ['out-of-band buffer', pickle(0x97), 'NEXT_BUFFER'],
  ])('%s', (_, bytes, name) => {
    expect(() => read(bytes)).toThrow(FileFormatError);
    expect(() => read(bytes)).toThrow(name);
  });
});

describe('broken pickles', () => {
  it.each<[string, Uint8Array, RegExp]>([
    ['empty', new Uint8Array(0), /1 more bytes/],
    ['no STOP', pickle('N').subarray(0, 1), /1 more bytes/],
    ['nothing at STOP', pickle(), /a value on the stack/],
    ['two values at STOP', pickle('NN'), /one value at the end/],
    ['an open mark at STOP', pickle('(N'), /one value at the end/],
    ['a pop through a mark', pickle('N(', 0x85), /a value on the stack/],
    ['TUPLE without a mark', pickle('Nt'), /a mark on the stack/],
    ['an unknown memo index', pickle('h', 3), /value 3 of the memo/],
    ['an unknown instruction', pickle(0xff), /byte 0: expected a pickle instruction, got byte 0xff/],
    ['a protocol of the future', pickle(0x80, 6), /protocol up to 5, got 6/],
    ['a string longer than the file', pickle('X', 255, 255, 255, 255), /4294967295 more bytes/],
    ['a string of 2^63 bytes', pickle(0x8d, 0, 0, 0, 0, 0, 0, 0, 0x80), /below 2\^53/],
    ['a huge integer', pickle(0x8b, 1, 4, 0, 0, 'x'.repeat(1025)), /an integer of at most 1024/],
    ['a huge decimal', pickle('I', '1'.repeat(1001), '\n'), /a decimal integer/],
    ['an endless line', pickle('I', '1'.repeat(5000), '\n'), /at most 4096/],
    ['a line without an end', pickle('I12'), /no end of line/],
    ['text that is not UTF-8', pickle('X', 1, 0, 0, 0, 0xff), /valid UTF-8/],
    ['a string with escapes', pickle("S'\\x41'\n"), /without escapes/],
    ['no number', pickle('Fx\n'), /a number/],
    ['half a pair', pickle('}(Nu'), /pairs/],
    ['items for a list', pickle('](NNu'), /a dict to put items into, got a list/],
    ['a value for a dict', pickle('}Na'), /a list to append to, got a dict/],
    ['a tuple as key', pickle('}()Nu'), /a key that is a string or a number, got a tuple/],
    ['a global named by numbers', pickle('K', 1, 'K', 2, 0x93), /a string, got a number/],
    ['a set', pickle(0x8f), /EMPTY_SET/],
  ])('%s', (_, bytes, message) => {
    expect(() => read(bytes)).toThrow(FileFormatError);
    expect(() => read(bytes)).toThrow(message);
  });
});
