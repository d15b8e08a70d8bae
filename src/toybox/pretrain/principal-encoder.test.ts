import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VaeCodec } from '../../models/cogvideox/vae/index.ts';
import { createRuntime } from '../../runtime/index.ts';
import { reshaped } from '../../tensor/host-tensor.ts';
import { randomStream } from '../../tensor/random.ts';
import { buildAtlas } from '../universe/atlas-build.ts';
import { DRAWN_ART } from '../universe/drawn-art.fixture.ts';
import { createUniverse } from '../universe/universe.ts';
import { type Cells, principal, project, squares } from './principal-code.ts';
import { pixelCells, principalCascade } from './principal-encoder.ts';
import { vaeTask } from './vae.ts';
import { videoTensor } from './vae-batches.ts';
import { vaeVariant } from './vae-configs.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dualreal-principal-'));
  await buildAtlas(DRAWN_ART, join(folder, 'toybox-atlas'));
}, 120_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

/** Cells whose features vary along known directions. */
function knownCells(count: number): { cells: Cells; directions: number[][] } {
  const directions = [
    [0.6, 0.8, 0],
    [-0.8, 0.6, 0],
    [0, 0, 1],
  ];
  const stream = randomStream(1, 'cells');
  const data = new Float32Array(count * 3);
  for (let cell = 0; cell < count; cell++) {
    const along = [5 * stream.normal(), 2 * stream.normal(), 0.5 * stream.normal()];
    for (let i = 0; i < 3; i++) {
      data[cell * 3 + i] = along.reduce((sum, value, d) => sum + value * directions[d][i], 0);
    }
  }
  return { cells: { side: 1, features: 3, data, weight: new Float32Array(count).fill(1) }, directions };
}

describe('principal directions', () => {
  it('are found in order of their variance', () => {
    const { cells, directions } = knownCells(4000);
    const { rows, variances } = principal(cells, 2);
    expect(rows).toHaveLength(2);
    for (const [r, row] of rows.entries()) {
      const cosine = row.reduce((sum, value, i) => sum + value * directions[r][i], 0);
      expect(Math.abs(cosine)).toBeGreaterThan(0.999);
    }
    expect(variances[0] / 25).toBeCloseTo(1, 1);
    expect(variances[1] / 4).toBeCloseTo(1, 1);
  });

  it('follow the weights', () => {
    const { cells } = knownCells(2);
    cells.data.set([1, 0, 0, 0, 2, 0]);
    cells.weight.set([9, 1]);
    expect(Math.abs(principal(cells, 1).rows[0][0])).toBeCloseTo(1);
    cells.weight.set([3, 1]);
    expect(Math.abs(principal(cells, 1).rows[0][1])).toBeCloseTo(1);
  });

  it('squares keep row, column and feature in order', () => {
    const data = Float32Array.from({ length: 32 }, (_, i) => i);
    const weight = Float32Array.from({ length: 16 }, (_, i) => i);
    const out = squares({ side: 4, features: 2, data, weight });
    expect([...out.data.subarray(8, 16)]).toEqual([4, 5, 6, 7, 12, 13, 14, 15]);
    expect(out.weight[1]).toBe((2 + 3 + 6 + 7) / 4);
    expect(out).toMatchObject({ side: 2, features: 8 });
  });
});

describe('the encoder that is set', () => {
  it('computes the cascade, for clips and for single pictures', { timeout: 180_000 }, async () => {
    const { config } = vaeVariant('shipped');
    const request = { model: 'vae', variant: 'shipped', seed: 1, weightsFolder: folder } as const;
    const task = vaeTask({ ...request, cacheFolder: folder, batch: 1 });
    const cascade = principalCascade(folder, config);
    const runtime = createRuntime({ inline: true, threads: 1 });
    const codec = new VaeCodec(runtime, config, new Map([...task.initialize(1), ...task.fixed]));
    const universe = createUniverse({ seed: 9, split: 'pretraining', frames: 9, cacheFolder: folder });
    const clip = universe.render(0);

    let cells = pixelCells([clip], cascade.colour);
    for (const { rows } of cascade.levels.slice(0, -1)) cells = project(squares(cells), rows);
    const code = project(cells, cascade.levels.at(-1)!.rows); // [5, 8, 8, 24]
    const video = reshaped(videoTensor([clip.frames]), [9, 3, 64, 64]);
    const { mean } = await codec.encode(video);
    const first = reshaped(videoTensor([clip.frames.subarray(0, 64 * 64 * 3)]), [1, 3, 64, 64]);
    const single = (await codec.encode(first)).mean;
    const [channels, area] = [config.latentChannels, 64];
    let worst = 0;
    let largest = 0;
    for (let f = 0; f < 5; f++) {
      for (let cell = 0; cell < area; cell++) {
        for (let c = 0; c < channels; c++) {
          const expected = code.data[(f * area + cell) * channels + c] * cascade.gains[c];
          const got = [mean.data[(f * channels + c) * area + cell]];
          if (f === 0) got.push(single.data[c * area + cell]);
          for (const value of got) worst = Math.max(worst, Math.abs(value - expected));
          largest = Math.max(largest, Math.abs(expected));
        }
      }
    }
    expect(largest).toBeGreaterThan(1);
    expect(worst).toBeLessThan(0.01 * largest);
    await codec.release();
    await runtime.close();
  });
});
