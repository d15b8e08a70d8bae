import { describe, expect, it } from 'vitest';
import { UnsupportedConfigError } from '../config.ts';
import { bicubicWeights, dinoConfigJson, parseDinoConfig, positionResize } from './index.ts';

describe('parseDinoConfig', () => {
  it('knows the family, and reads its own JSON again', () => {
    expect(parseDinoConfig({})).toEqual({
      width: 384,
      feedForwardWidth: 1536,
      blocks: 12,
      heads: 6,
      patch: 16,
      imageSide: 224,
      qkvBias: true,
      normEpsilon: 1e-6,
    });
    const base = parseDinoConfig({ arch: 'vit_base', patch_size: 8 });
    expect(base).toMatchObject({ width: 768, heads: 12, patch: 8 });
    expect(parseDinoConfig(dinoConfigJson(base))).toEqual(base);
  });

  it.each([
    ['arch', { arch: 'resnet50' }],
    ['num_heads', { embed_dim: 36, num_heads: 5 }],
    ['registers', { registers: 4 }],
    ['patch_size', { patch_size: 0 }],
  ])('names field %s', (field, json) => {
    const parse = () => parseDinoConfig(json, 'here/config.json');
    expect(parse).toThrow(UnsupportedConfigError);
    expect(parse).toThrow(`here/config.json, field ${field}`);
  });
});

describe('position resize', () => {
  it('keeps constants, and is the identity for the true size', () => {
    for (const [from, to] of [
      [4, 4],
      [4, 7],
      [14, 5],
    ]) {
      for (const row of bicubicWeights(from, to, to / from)) {
        expect(row.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 12);
      }
    }
    expect(bicubicWeights(3, 3, 1)).toEqual([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]);
  });

  it('takes rows from the vertical and columns from the horizontal weights', () => {
    const { shape, data } = positionResize(2, { rows: 1, columns: 3 });
    expect(shape).toEqual([3, 4]);
    const [vertical] = bicubicWeights(2, 1, 1.1 / 2);
    const horizontal = bicubicWeights(2, 3, 3.1 / 2);
    expect(data[1 * 4 + 2]).toBeCloseTo(vertical[1] * horizontal[1][0], 6);
  });
});
