import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createNoiseSchedule, type NoiseSchedule, parseSchedulerConfig } from '../../../diffusion/index.ts';
import { parseVaeConfig, type VaeConfig } from '../../../models/cogvideox/vae/index.ts';
import { schedulerConfigJson } from '../../../store/pipeline-json.ts';
import { bytesOf } from '../../../tensor/dtype.ts';
import { readShipped } from '../shipped.ts';
import type { TensorTable } from '../task.ts';

/** The finished parts of the base that the transformer is trained over. */
export interface BaseParts {
  readonly vae: VaeConfig;
  readonly vaeWeights: TensorTable;
  readonly textWeights: TensorTable;
  /** Of the weights, so that a change of them is noticed; of the VAE the encoder's: its decoder may improve. */
  readonly vaeHash: string;
  readonly textHash: string;
}

export async function readBaseParts(weightsFolder: string): Promise<BaseParts> {
  const config = JSON.parse(await readFile(join(weightsFolder, 'vae', 'config.json'), 'utf8')) as unknown;
  const vaeWeights = await readShipped(weightsFolder, 'vae');
  const textWeights = await readShipped(weightsFolder, 'text_encoder');
  return {
    vae: parseVaeConfig(config),
    vaeWeights,
    textWeights,
    vaeHash: hashOf(new Map([...vaeWeights].filter(([name]) => name.startsWith('encoder.')))),
    textHash: hashOf(textWeights),
  };
}

function hashOf(weights: TensorTable): string {
  const hash = createHash('sha256');
  for (const name of [...weights.keys()].sort()) {
    const { shape, data } = weights.get(name)!;
    hash.update(JSON.stringify([name, shape])).update(bytesOf(data));
  }
  return hash.digest('hex');
}

export const transformerSchedule = (): NoiseSchedule =>
  createNoiseSchedule(parseSchedulerConfig(schedulerConfigJson()));
