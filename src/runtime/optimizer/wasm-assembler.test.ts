import { describe, expect, it } from 'vitest';
import {
  type AssembledFunction,
  assembleFunction,
  assembleModule,
  f32x4,
  f64,
  f64x2,
  i32,
  memory,
  whileTrue,
} from './wasm-assembler.ts';
import { Instance, Memory, Module, type WasmMemory } from './web-assembly.ts';

type Numeric = (...values: number[]) => number;

function instantiate(...functions: AssembledFunction[]): { run: Record<string, Numeric>; arena: WasmMemory } {
  const arena = new Memory({ initial: 1, maximum: 1 });
  const instance = new Instance(new Module(assembleModule(functions)), { arena: { memory: arena } });
  return { run: instance.exports as Record<string, Numeric>, arena };
}

const constantFunction = (name: string, value: number) =>
  assembleFunction(name, {}, {}, () => ({ body: [], result: i32.constant(value) }));

describe('wasm assembler', () => {
  it('encodes i32 constants at every length of their signed LEB128 form', () => {
    const edges = [0, 1, 63, 64, 8191, 8192, 1048575, 1048576, 134217727, 134217728, 2147483647];
    const values = [...edges, ...edges.map((value) => -value - 1)];
    const { run } = instantiate(...values.map((value, index) => constantFunction(`f${index}`, value)));
    expect(values.map((_, index) => run[`f${index}`]())).toEqual(values);
  });

  it('encodes functions, parameters, locals and offsets beyond one LEB128 byte', () => {
    const offsets = [0, 124, 128, 16380, 16384];
    const loads = offsets.map((offset) =>
      assembleFunction(`at${offset}`, { address: 'i32' }, {}, ({ address }) => ({
        body: [],
        result: f64x2.lane(0, f64x2.promoteLow(memory.loadOne(address.value, offset))),
      })),
    );
    const many = Array.from({ length: 150 }, (_, index) => constantFunction(`c${index}`, index));
    const { run, arena } = instantiate(...many, ...loads);
    const view = new Float32Array(arena.buffer);
    for (const offset of offsets) view[(offset + 8) / 4] = offset + 0.5;
    expect(offsets.map((offset) => run[`at${offset}`](8))).toEqual(offsets.map((offset) => offset + 0.5));
    expect(run.c149()).toBe(149);
  });

  it('loops while the condition holds, and not at all where it does not', () => {
    const { run } = instantiate(
      assembleFunction('countDown', { count: 'i32', step: 'i32' }, { rounds: 'i32' }, (of) => ({
        body: [
          whileTrue(i32.atLeast(of.count.value, of.step.value), [
            of.count.set(i32.subtract(of.count.value, of.step.value)),
            of.rounds.set(i32.add(of.rounds.value, i32.constant(1))),
          ]),
        ],
        result: of.rounds.value,
      })),
    );
    expect(run.countDown(10, 3)).toBe(3);
    expect(run.countDown(2, 3)).toBe(0);
    expect(run.countDown(3, 3)).toBe(1);
    // Unsigned: an address or count in the upper half is large, not negative.
    expect(run.countDown(0xffffffff, 0x80000000)).toBe(1);
  });

  it('computes with the lanes and operations it names', () => {
    const lane = (name: string, at: 0 | 1, write: typeof f32x4.add) =>
      assembleFunction(name, { a: 'f32', b: 'f32' }, {}, ({ a, b }) => ({
        body: [],
        result: f64x2.lane(at, f64x2.promoteLow(write(f32x4.splat(a.value), f32x4.splat(b.value)))),
      }));
    const { run } = instantiate(
      lane('add', 0, f32x4.add),
      lane('multiply', 1, f32x4.multiply),
      lane('divide', 1, f32x4.divide),
      lane('root', 0, (left) => f32x4.squareRoot(left)),
      assembleFunction('sum', { a: 'f64', b: 'f64' }, {}, ({ a, b }) => ({
        body: [],
        result: f64.add(a.value, b.value),
      })),
    );
    expect([run.add(3, 4), run.multiply(3, 4), run.divide(3, 4), run.root(9, 0)]).toEqual([7, 12, 0.75, 3]);
    expect(run.sum(0.1, 0.2)).toBe(0.1 + 0.2);
  });

  it('loads and stores one, two or four elements and nothing beside them', () => {
    const { run, arena } = instantiate(
      assembleFunction('copy', { from: 'i32', to: 'i32' }, {}, ({ from, to }) => ({
        body: [
          memory.store(to.value, 0, memory.load(from.value)),
          memory.store(to.value, 32, memory.loadTwo(from.value)),
          memory.storeOne(to.value, 64, memory.load(from.value)),
        ],
      })),
    );
    const view = new Float32Array(arena.buffer, 0, 64);
    view.fill(-1).set([1, 2, 3, 4]);
    run.copy(0, 64);
    const [four, two, one] = [16, 24, 32].map((at) => [...view.subarray(at, at + 5)]);
    expect(four).toEqual([1, 2, 3, 4, -1]);
    expect(two).toEqual([1, 2, 0, 0, -1]);
    expect(one).toEqual([1, -1, -1, -1, -1]);
  });
});
