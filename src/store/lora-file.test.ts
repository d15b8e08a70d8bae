import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Lora } from '../methods/lora/index.ts';
import { FileFormatError } from '../tensor/errors.ts';
import { floats, type HostTensor, integers } from '../tensor/host-tensor.ts';
import { readSafetensorsContents, writeSafetensorsFile } from '../tensor/safetensors.ts';
import { readLoraFile, writeLoraFile } from './lora-file.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dualreal-lora-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const matrix = (rows: number, columns: number) =>
  floats(
    [rows, columns],
    Array.from({ length: rows * columns }, (_, i) => i / 8 - 1),
  );
const Q = 'transformer_blocks.0.attn1.to_q';
const OUT = 'transformer_blocks.0.attn1.to_out.0';
const lora: Lora = new Map([
  [OUT, { down: matrix(4, 6), up: matrix(6, 4), scale: 0.5 }],
  [Q, { down: matrix(2, 6), up: matrix(6, 2), scale: 3 }],
]);

/** A file of one update of rank 2 on to_q, with the given configuration. */
async function written(
  config?: Record<string, unknown>,
  tensors: Record<string, HostTensor> = {
    [`transformer.${Q}.lora_A.weight`]: matrix(2, 6),
    [`transformer.${Q}.lora_B.weight`]: matrix(6, 2),
  },
): Promise<string> {
  const path = join(folder, `${Math.random()}.safetensors`);
  const metadata = config && { lora_adapter_metadata: JSON.stringify(config) };
  await writeSafetensorsFile(path, new Map(Object.entries(tensors)), metadata);
  return path;
}

const scaleOf = async (config: Record<string, unknown> | undefined, alpha?: number) => {
  const file = await readLoraFile(await written(config), alpha === undefined ? {} : { alpha });
  return file.lora.get(Q)!.scale;
};

describe('LoRA files', () => {
  it('come back as they were written, each layer with its own rank and scale', async () => {
    const path = join(folder, 'both.safetensors');
    await writeLoraFile(path, lora, 'f32', { made: 'here' });
    const file = await readLoraFile(path);
    expect(new Map([...file.lora].sort())).toEqual(new Map([...lora].sort()));
    expect([file.alpha, file.notices]).toEqual(['metadata', []]);
    const { tensors, metadata } = await readSafetensorsContents(path);
    expect([...tensors.keys()]).toEqual(
      [OUT, Q].flatMap((layer) => ['A', 'B'].map((name) => `transformer.${layer}.lora_${name}.weight`)),
    );
    expect(metadata.made).toBe('here');
    expect(JSON.parse(metadata.lora_adapter_metadata)).toMatchObject({
      'transformer.r': 4,
      'transformer.lora_alpha': 2,
      'transformer.rank_pattern': { [`^${Q}`]: 2 },
      'transformer.alpha_pattern': { [`^${Q}`]: 6 },
    });
  });

  it('can be kept in bf16', async () => {
    const path = join(folder, 'half.safetensors');
    await writeLoraFile(path, lora, 'bf16');
    expect((await readLoraFile(path)).lora.get(Q)!.down.dtype).toBe('bf16');
  });

  it('without metadata: scale 1 and a notice, unless alpha is given', async () => {
    const path = await written();
    const file = await readLoraFile(path);
    expect([file.lora.get(Q)!.scale, file.alpha]).toEqual([1, 'unknown']);
    expect(file.notices).toHaveLength(1);
    const given = await readLoraFile(path, { alpha: 5 });
    expect([given.lora.get(Q)!.scale, given.alpha, given.notices]).toEqual([2.5, 'given', []]);
  });

  it('take alpha from the metadata, with or without its prefix', async () => {
    expect(await scaleOf({ 'transformer.lora_alpha': 8, 'transformer.r': 2 })).toBe(4);
    expect(await scaleOf({ lora_alpha: 8, r: 2 })).toBe(4);
    expect(await scaleOf({ lora_alpha: 8, r: 2 }, 2)).toBe(1);
    expect(await scaleOf({ lora_alpha: 8, use_rslora: true })).toBeCloseTo(8 / Math.sqrt(2), 12);
    expect(await scaleOf({ lora_alpha: 8, alpha_pattern: { to_q: 6 } })).toBe(3);
    expect(await scaleOf({ lora_alpha: 8, alpha_pattern: { [`^${Q}`]: 6 } })).toBe(3);
    expect(await scaleOf({ lora_alpha: 8, alpha_pattern: { o_q: 6, to_k: 1 } })).toBe(4);
  });

  it.each<[string, Record<string, unknown>, RegExp]>([
    ['DoRA', { use_dora: true }, /use_dora/],
    ['updates of biases', { lora_bias: true }, /lora_bias/],
    ['patterns that are expressions', { alpha_pattern: { '(a+)+': 1 } }, /alpha_pattern/],
    ['a negative alpha', { lora_alpha: -1 }, /lora_alpha/],
  ])('refuse %s by name', async (_what, config, message) => {
    const path = await written(config);
    await expect(readLoraFile(path)).rejects.toThrow(FileFormatError);
    await expect(readLoraFile(path)).rejects.toThrow(message);
  });

  it('without prefix are those of save_lora_adapter', async () => {
    const path = await written(undefined, {
      [`${Q}.lora_A.weight`]: matrix(2, 6),
      [`${Q}.lora_B.weight`]: matrix(6, 2),
    });
    expect([...(await readLoraFile(path)).lora.keys()]).toEqual([Q]);
  });

  it('list everything that is no pair of matrices', async () => {
    const path = await written(undefined, {
      [`transformer.${Q}.lora_A.weight`]: matrix(2, 6),
      [`transformer.${Q}.lora_B.weight`]: matrix(6, 3),
      [`transformer.${OUT}.lora_A.weight`]: matrix(2, 6),
      'transformer.x.lora_A.weight': integers([1, 1], [1]),
      'transformer.y.alpha': matrix(1, 1),
      'text_encoder.z.lora_A.weight': matrix(1, 1),
    });
    const error = await readLoraFile(path).catch((thrown: unknown) => String(thrown));
    for (const part of [
      `${Q} has A [2, 6] and B [6, 3]`,
      `${OUT} has no lora_B`,
      'transformer.x.lora_A.weight is i64 [1, 1]',
      '"transformer.y.alpha" is no lora_A or lora_B',
      '"text_encoder.z.lora_A.weight"',
    ]) {
      expect(error).toContain(part);
    }
    await expect(readLoraFile(await written(undefined, {}))).rejects.toThrow(/got no tensor/);
  });

  it('leave nothing behind where a value cannot be kept', async () => {
    const before = await readdir(folder);
    const bad: Lora = new Map([[Q, { down: floats([1, 1], [Number.NaN]), up: matrix(1, 1), scale: 1 }]]);
    await expect(writeLoraFile(join(folder, 'bad.safetensors'), bad)).rejects.toThrow(/finite/);
    expect(await readdir(folder)).toEqual(before);
  });
});
