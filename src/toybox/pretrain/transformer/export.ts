import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type TransformerConfig,
  transformerConfigJson,
} from '../../../models/cogvideox/transformer/index.ts';
import { BASE_CARD, pipelineIndexJson, schedulerConfigJson } from '../../../store/pipeline-json.ts';
import { fromFloat32 } from '../../../tensor/dtype.ts';
import { asFloats, type HostTensor } from '../../../tensor/host-tensor.ts';
import { writeSafetensorsFile } from '../../../tensor/safetensors.ts';
import { writeJson } from '../export.ts';
import type { TensorTable } from '../task.ts';
import {
  SHIPPED_GROUP_RATES,
  SHIPPED_GUIDANCE,
  SHIPPED_LEARNING_RATES,
  SHIPPED_TIMESTEP_BIAS,
} from './variants.ts';

/** Completes the base: transformer in f16, scheduler, model_index.json, card. Returns the folders that were written. */
export async function writeTransformer(
  weightsFolder: string,
  config: TransformerConfig,
  parameters: TensorTable,
): Promise<readonly string[]> {
  const folder = join(weightsFolder, 'transformer');
  await mkdir(folder, { recursive: true });
  await mkdir(join(weightsFolder, 'scheduler'), { recursive: true });
  const halves = new Map(
    [...parameters.keys()].sort().map((name): [string, HostTensor] => {
      const { shape, data } = asFloats(parameters.get(name)!);
      return [name, { dtype: 'f16', shape, data: fromFloat32('f16', data) as Uint16Array }];
    }),
  );
  await writeSafetensorsFile(join(folder, 'diffusion_pytorch_model.safetensors'), halves, { format: 'pt' });
  await writeJson(join(folder, 'config.json'), transformerConfigJson(config));
  await writeJson(join(weightsFolder, 'scheduler', 'scheduler_config.json'), schedulerConfigJson());
  await writeJson(join(weightsFolder, BASE_CARD), {
    name: 'toybox',
    fps: 8,
    guidance: SHIPPED_GUIDANCE,
    learningRates: SHIPPED_LEARNING_RATES,
    groupRates: SHIPPED_GROUP_RATES,
    timestepBias: SHIPPED_TIMESTEP_BIAS,
  });
  await writeJson(join(weightsFolder, 'model_index.json'), pipelineIndexJson());
  return ['transformer', 'scheduler'];
}
