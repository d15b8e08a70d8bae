import { describe, expect, it } from 'vitest';
import { ShapeError } from '../../tensor/errors.ts';
import { floats } from '../../tensor/host-tensor.ts';
import {
  ALIGNMENT_BYTES,
  ArenaLayoutError,
  ArenaSizeError,
  ParameterArena,
  type TrainableTensor,
} from './parameter-arena.ts';

const TENSORS: readonly TrainableTensor[] = [
  { name: 'a.weight', shape: [5, 7], group: 'identity' },
  { name: 'a.bias', shape: [5], group: 'identity' },
  { name: 'b.weight', shape: [3], group: 'motion' },
  { name: 'scale', shape: [], group: 'controller' },
  { name: 'empty', shape: [0, 4], group: 'controller' },
];

describe('parameter arena', () => {
  it('gives every tensor its own aligned, zeroed views in every plane of one memory', () => {
    const arena = new ParameterArena(TENSORS, { average: true });
    const planes = ['parameter', 'gradient', 'firstMoment', 'secondMoment', 'average'] as const;
    const views = planes.flatMap((plane) => arena.tensors.map(({ name }) => arena.view(plane, name)));
    for (const view of views) {
      expect(view.byteOffset % ALIGNMENT_BYTES).toBe(0);
      expect(view.buffer).toBe(views[0].buffer);
      expect(view.every((value) => value === 0)).toBe(true);
    }
    for (const [index, view] of views.entries()) view.fill(index + 1);
    for (const [index, view] of views.entries()) {
      expect(view.every((value) => value === index + 1)).toBe(true);
    }
    expect(arena.parameterOf('a.weight')).toHaveLength(35);
    expect(arena.gradientOf('scale')).toHaveLength(1);
    expect(arena.momentsOf('empty').first).toHaveLength(0);
    expect(arena.momentsOf('a.bias').second).toEqual(arena.view('secondMoment', 'a.bias'));
  });

  it('takes exactly the needed size', () => {
    const arena = new ParameterArena(TENSORS);
    // 35, 5, 3, 1 and 0 elements in lines of 16: 3 + 1 + 1 + 1 + 0 lines.
    expect(arena.sizeBytes).toBe(4 * 6 * 64);
    expect(arena.parameterOf('a.weight').buffer.byteLength).toBe(65536);
    expect(new ParameterArena(TENSORS, { average: true }).sizeBytes).toBe(5 * 6 * 64);
    expect(new ParameterArena([]).sizeBytes).toBe(0);
  });

  it('lists tensors by group in arena order and refuses unknown groups and names', () => {
    const arena = new ParameterArena(TENSORS);
    expect(arena.groups).toEqual(['identity', 'motion', 'controller']);
    expect(arena.tensorsOf(['controller', 'identity']).map(({ name }) => name)).toEqual([
      'a.weight',
      'a.bias',
      'scale',
      'empty',
    ]);
    expect(() => arena.tensorsOf(['identity', 'movement'])).toThrow(/controller, got movement/);
    expect(() => arena.parameterOf('c')).toThrow(ArenaLayoutError);
    expect(() => arena.averageOf('a.bias')).toThrow(/average: true/);
  });

  it('refuses a list with repeated names, scattered groups or impossible shapes', () => {
    const [first, second, third] = TENSORS;
    expect(() => new ParameterArena([first, first])).toThrow(/a\.weight: expected unique/);
    expect(() => new ParameterArena([first, third, second])).toThrow(/a\.bias.*stand together.*identity/);
    expect(() => new ParameterArena([{ ...first, shape: [2, -1] }])).toThrow(ArenaLayoutError);
    expect(() => new ParameterArena([{ ...first, shape: [2.5] }])).toThrow(ArenaLayoutError);
  });

  it('says what to do where the state does not fit into 4 GiB', () => {
    const tensors = [{ name: 'w', shape: [2 ** 28 + 1], group: 'all' }];
    expect(() => new ParameterArena(tensors)).toThrow(ArenaSizeError);
    expect(() => new ParameterArena(tensors)).toThrow(/at most 4\.00 GiB.*\n.*hint: train fewer/);
    const justFour = [{ name: 'w', shape: [2 ** 28], group: 'all' }];
    expect(() => new ParameterArena(justFour, { average: true })).toThrow(/got 5\.00 GiB/);
  });

  it('zeroes gradients only', () => {
    const arena = new ParameterArena(TENSORS);
    for (const { name } of arena.tensors) {
      arena.parameterOf(name).fill(1);
      arena.gradientOf(name).fill(2);
      arena.momentsOf(name).first.fill(3);
    }
    arena.zeroGradients();
    for (const { name } of arena.tensors) {
      expect(arena.parameterOf(name).every((value) => value === 1)).toBe(true);
      expect(arena.gradientOf(name).every((value) => value === 0)).toBe(true);
      expect(arena.momentsOf(name).first.every((value) => value === 3)).toBe(true);
    }
  });

  it('loads parameters exactly, or lists every problem and changes nothing', () => {
    const arena = new ParameterArena(TENSORS);
    const values = new Map(
      TENSORS.map(({ name, shape }, index) => {
        const length = shape.reduce((product, extent) => product * extent, 1);
        return [name, floats(shape, new Float32Array(length).fill(index + 1))];
      }),
    );
    arena.loadParameters(values);
    expect([...arena.parameterOf('a.bias')]).toEqual([2, 2, 2, 2, 2]);

    const broken = new Map(values);
    broken.set('a.weight', floats([35], new Float32Array(35)));
    broken.delete('scale');
    broken.set('extra', floats([], [1]));
    expect(() => arena.loadParameters(broken)).toThrow(ShapeError);
    expect(() => arena.loadParameters(broken)).toThrow(
      'a.weight is f32 [35] instead of f32 [5, 7]; scale is missing; extra is unexpected',
    );
    expect(arena.parameterOf('a.weight')[0]).toBe(1);
  });
});
