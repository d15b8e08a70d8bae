import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DUALREAL_PRESETS, type DualRealShape, expectedTensors } from '../methods/dualreal/index.ts';
import { parseTransformerConfig } from '../models/cogvideox/transformer/index.ts';
import { FileFormatError } from '../tensor/errors.ts';
import { asFloats, floats, type HostTensor, integers } from '../tensor/host-tensor.ts';
import { randomStream } from '../tensor/random.ts';
import { readSafetensorsContents, writeSafetensorsFile } from '../tensor/safetensors.ts';
import { sizeOf } from '../tensor/shape.ts';
import {
  AdapterMismatchError,
  type AdapterRecipe,
  optionsOfShape,
  readAdapterFile,
  requireAdapterFitsBase,
  writeAdapterFile,
} from './adapter-file.ts';
import { writePth } from './pickle/write-pth.ts';

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dualreal-adapter-'));
  path = join(folder, 'adapter.safetensors');
});
afterEach(() => rm(folder, { recursive: true }));

const shape: DualRealShape = {
  form: 'separate',
  placement: 'sites',
  bottleneck: 2,
  conditionDim: 3,
  groups: 2,
  blocks: 2,
  width: 4,
  timeEmbeddingDim: 5,
};
const recipe: AdapterRecipe = {
  version: 1,
  options: { ...DUALREAL_PRESETS.clean, bottleneck: 2, conditionDim: 3, groups: 2 },
  preset: 'clean',
  base: { name: 'toybox', hash: 'a'.repeat(64), blocks: 2, width: 4 },
  training: { steps: 100, seed: 42, learningRate: 1e-3, motionRatio: 0.5, schedule: 'cosine', batch: [1, 3] },
  subject: { prompts: ['dog *', 'ünïcode "dog"\n'], counts: { photos: 5 } },
  motion: { prompts: ['playing guitar'], counts: { clips: 15, frames: 49 } },
  size: { frames: 49, height: 480, width: 720, fps: 8 },
  createdWith: 'dualreal 0.1.0',
};

function adapters(of: DualRealShape = shape): Map<string, HostTensor> {
  return new Map(
    [...expectedTensors(of)].map(([name, tensor]) => [
      name,
      floats(tensor.shape, randomStream(1, name).normals(sizeOf(tensor.shape))),
    ]),
  );
}
const changed = (name: string, value: number): Map<string, HostTensor> => {
  const tensors = adapters();
  const tensor = asFloats(tensors.get(name)!);
  return tensors.set(name, floats(tensor.shape, tensor.data.with(0, value)));
};
const BIAS = 'transformer_blocks.1.motion_ff_adapter.up_linear.bias';

describe('an adapter file', () => {
  it('comes back with its recipe', async () => {
    const tensors = adapters();
    await writeAdapterFile(path, tensors, recipe);
    expect(await readAdapterFile(path)).toEqual({ path, source: 'safetensors', tensors, shape, recipe });
  });

  it('has the release’s names and order, and says what it is', async () => {
    const shuffled = new Map([...adapters()].reverse());
    await writeAdapterFile(path, shuffled, recipe);
    const { tensors, metadata } = await readSafetensorsContents(path);
    expect([...tensors.keys()]).toEqual([...expectedTensors(shape).keys()]);
    expect([...tensors.keys()][0]).toBe('transformer_blocks.0.id_attn_adapter.down_linear.weight');
    expect(metadata.format).toBe('pt');
    expect(JSON.parse(metadata.dualreal)).toEqual(recipe);
    const first = await readFile(path);
    await writeAdapterFile(path, adapters(), recipe);
    expect(await readFile(path)).toEqual(first);
  });

  it.each(['bf16', 'f16'] as const)('in %s holds the rounded values', async (dtype) => {
    await writeAdapterFile(path, adapters(), recipe, dtype);
    const { tensors } = await readAdapterFile(path);
    for (const [name, tensor] of tensors) {
      expect(tensor.dtype).toBe(dtype);
      const exact = asFloats(adapters().get(name)!).data;
      const rounding = dtype === 'bf16' ? 2 ** -8 : 2 ** -11;
      for (const [i, value] of asFloats(tensor).data.entries()) {
        expect(Math.abs(value - exact[i])).toBeLessThanOrEqual(rounding * Math.abs(exact[i]) + 1e-7);
      }
    }
    // Kept as it is, a second time is the same file.
    const before = await readFile(path);
    await writeAdapterFile(path, tensors, recipe, 'keep');
    expect(await readFile(path)).toEqual(before);
  });

  it.each([
    ['NaN', changed(BIAS, Number.NaN), 'f32', /up_linear\.bias: expected finite values, got NaN/],
    ['infinity', changed(BIAS, Number.NEGATIVE_INFINITY), 'bf16', /finite values/],
    ['a value f16 cannot hold', changed(BIAS, -65520), 'f16', /up to 65504.*bf16/s],
    [
      'an incomplete set',
      new Map([...adapters()].slice(1)),
      'f32',
      /missing: transformer_blocks\.0\.id_attn/,
    ],
    ['a set of another shape', adapters({ ...shape, bottleneck: 3 }), 'f32', /options\.bottleneck 2, got 3/],
    ['a set of another depth', adapters({ ...shape, blocks: 4 }), 'f32', /base\.blocks 2, got 4/],
    ['a folded set', adapters({ ...shape, conditionDim: 0 }), 'f32', /options\.conditionDim 3, got 0/],
  ] as const)('is not written for %s', async (_, tensors, dtype, message) => {
    const writing = writeAdapterFile(path, tensors, recipe, dtype);
    await expect(writing).rejects.toThrow(message);
    expect(await readdir(folder)).toEqual([]);
  });

  it('the largest f16 value is written', async () => {
    await writeAdapterFile(path, changed(BIAS, -65519), recipe, 'f16');
    expect(asFloats((await readAdapterFile(path)).tensors.get(BIAS)!).data[0]).toBe(-65504);
  });
});

describe('a recipe that does not fit', () => {
  it.each<[string, (recipe: Record<string, unknown>) => void, RegExp]>([
    [
      'a newer version',
      (r) => {
        r.version = 2;
      },
      /version 2[\s\S]*update to read it/,
    ],
    [
      'an unknown field',
      (r) => {
        r.extra = 1;
      },
      /extra/,
    ],
    [
      'a missing field',
      (r) => {
        delete r.options;
      },
      /options: /,
    ],
    [
      'an option of another kind',
      (r) => {
        r.options = { ...recipe.options, skip: 'yes' };
      },
      /options\.skip: /,
    ],
    [
      'NaN as text',
      (r) => {
        r.training = { ...recipe.training, learningRate: 'NaN' };
      },
      /training\.learningRate/,
    ],
  ])('%s is named when the file is read', async (_, change, message) => {
    const broken = structuredClone(recipe) as unknown as Record<string, unknown>;
    change(broken);
    await writeSafetensorsFile(path, adapters(), { dualreal: JSON.stringify(broken) });
    await expect(readAdapterFile(path)).rejects.toThrow(FileFormatError);
    await expect(readAdapterFile(path)).rejects.toThrow(message);
    await expect(readAdapterFile(path)).rejects.toThrow(path);
  });

  it('broken JSON, or a recipe of other tensors', async () => {
    await writeSafetensorsFile(path, adapters(), { dualreal: '{"version":1' });
    await expect(readAdapterFile(path)).rejects.toThrow(/recipe: expected valid JSON/);
    const other = { ...recipe, base: { ...recipe.base, width: 8 } };
    await writeSafetensorsFile(path, adapters(), { dualreal: JSON.stringify(other) });
    await expect(readAdapterFile(path)).rejects.toThrow(/base\.width 8, got 4/);
  });
});

describe('files of others', () => {
  it('a .pth file, whatever its name', async () => {
    await writePth(path, adapters());
    expect(await readAdapterFile(path)).toEqual({ path, source: 'pth', tensors: adapters(), shape });
  });

  it('safetensors without a recipe', async () => {
    await writeSafetensorsFile(path, adapters(), { format: 'pt' });
    expect(await readAdapterFile(path)).toEqual({ path, source: 'safetensors', tensors: adapters(), shape });
  });

  it.each([
    ['an empty file', Buffer.alloc(0)],
    ['text', Buffer.from('<!doctype html><html>not found</html>')],
    ['a zip that is no .pth', Buffer.from(`PK\x05\x06${'\0'.repeat(18)}`, 'latin1')],
    ['a cut-off .pth', Buffer.from(`PK\x03\x04${'x'.repeat(100)}`, 'latin1')],
  ])('%s is a clear error', async (_, bytes) => {
    await writeFile(path, bytes);
    await expect(readAdapterFile(path)).rejects.toThrow(FileFormatError);
    await expect(readAdapterFile(path)).rejects.toThrow(path);
  });

  it('integers are no adapters', async () => {
    const tensors = adapters().set(BIAS, integers([4], [1, 2, 3, 4]));
    await writeSafetensorsFile(path, tensors, {});
    await expect(readAdapterFile(path)).rejects.toThrow(/up_linear\.bias: expected floating point, got i64/);
  });

  it('a preset that places adapters elsewhere is refused', () => {
    expect(optionsOfShape('official', shape)).toEqual({
      ...DUALREAL_PRESETS.official,
      bottleneck: 2,
      conditionDim: 3,
      groups: 2,
    });
    expect(() => optionsOfShape('paper', shape)).toThrow(AdapterMismatchError);
    expect(() => optionsOfShape('official', { ...shape, placement: 'block' })).toThrow(/one site/);
  });
});

describe('requireAdapterFitsBase', () => {
  const config = parseTransformerConfig({
    num_attention_heads: 1,
    attention_head_dim: 16,
    num_layers: 2,
    time_embed_dim: 5,
  });
  const fitting = { path: 'a.safetensors', shape: { ...shape, width: 16 }, recipe };

  it('accepts its own base; another of the same shape is a warning', () => {
    expect(requireAdapterFitsBase(fitting, config, recipe.base.hash!)).toEqual([]);
    expect(requireAdapterFitsBase(fitting, config)).toEqual([]);
    const [warning, ...more] = requireAdapterFitsBase(fitting, config, 'b'.repeat(64));
    expect(warning).toMatch(
      /a\.safetensors was trained on another base \(toybox\).*aaaaaaaaaaaa….*bbbbbbbbbbbb…/,
    );
    expect(more).toEqual([]);
    const { recipe: _, ...released } = fitting;
    expect(requireAdapterFitsBase(released, config, 'b'.repeat(64))).toEqual([]);
  });

  it.each([
    ['blocks', { blocks: 4 }, /blocks 2, width 16, time embedding 5, got blocks 4 \(toybox\)/],
    [
      'width',
      { width: 4 },
      /got width 4 \(toybox\)[\s\S]*hint: use the base that the adapters were trained on \(toybox\)/,
    ],
    ['time embedding', { timeEmbeddingDim: 512 }, /got time embedding 512/],
  ])('other %s are an error', (_, difference, message) => {
    const other = { ...fitting, shape: { ...fitting.shape, ...difference } };
    expect(() => requireAdapterFitsBase(other, config)).toThrow(AdapterMismatchError);
    expect(() => requireAdapterFitsBase(other, config)).toThrow(message);
  });
});
