import { expect, it } from 'vitest';
import { floats } from '../../tensor/host-tensor.ts';
import { UnsupportedConfigError } from '../config.ts';
import { encoderFamily } from '../encoder-family.ts';
import { VIT_H_14 } from '../open-clip/index.ts';
import { parseGuieConfig, plainGuieWeights } from './index.ts';

it('describes the published model by default', () => {
  const { vision, embeddingDim, backboneDim, overlap } = parseGuieConfig({ guie: {} });
  expect(vision).toEqual({ ...VIT_H_14.vision, imageSide: 290 });
  expect([backboneDim, embeddingDim, overlap]).toEqual([1024, 64, 2]);
  const { preprocessing, imageSide } = encoderFamily({ guie: {} });
  expect([imageSide, preprocessing.shape, preprocessing.filter]).toEqual([290, 'square', 'bilinear']);
});

it.each([
  ['guie.patch_overlap', { guie: { patch_overlap: 14 } }],
  ['guie.projection', { guie: { projection: 64 } }],
  ['vision_cfg.head_width', { guie: {}, vision_cfg: { head_width: 79 } }],
])('names field %s', (field, json) => {
  expect(() => parseGuieConfig(json, 'here')).toThrow(UnsupportedConfigError);
  expect(() => parseGuieConfig(json, 'here')).toThrow(`here, field ${field}`);
});

it('takes names with and without the prefix of parallel training', () => {
  const tensor = floats([1], [0]);
  const names = (table: ReadonlyMap<string, typeof tensor>) => [...plainGuieWeights(table).keys()];
  expect(
    names(
      new Map([
        ['module.fc1.bias', tensor],
        ['module.fc1.weight', tensor],
      ]),
    ),
  ).toEqual(['fc1.bias', 'fc1.weight']);
  expect(
    names(
      new Map([
        ['module.fc1.bias', tensor],
        ['fc1.weight', tensor],
      ]),
    ),
  ).toEqual(['module.fc1.bias', 'fc1.weight']);
});
