import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../../tensor/atomic-file.ts';
import { fromFloat32 } from '../../tensor/dtype.ts';
import { asFloats, type HostTensor } from '../../tensor/host-tensor.ts';
import { writeSafetensorsFile } from '../../tensor/safetensors.ts';
import type { TensorTable } from './task.ts';
import type { TokenizerFiles } from './tokenizers.ts';

/** Writes one component's folder: f16 weights under the names of the published layout, and its JSON files. */
export async function writeComponent(
  folder: string,
  weightsName: 'model' | 'diffusion_pytorch_model',
  weights: TensorTable,
  jsonFiles: Readonly<Record<string, object>>,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const names = [...weights.keys()].sort();
  const halves = new Map(names.map((name) => [name, halved(weights.get(name)!)]));
  await writeSafetensorsFile(join(folder, `${weightsName}.safetensors`), halves, { format: 'pt' });
  for (const [name, json] of Object.entries(jsonFiles)) await writeJson(join(folder, name), json);
}

export async function writeTokenizer(folder: string, { json, config }: TokenizerFiles): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeJson(join(folder, 'tokenizer.json'), json);
  await writeJson(join(folder, 'tokenizer_config.json'), config);
}

export function writeJson(path: string, json: object): Promise<void> {
  return writeFileAtomic(path, `${JSON.stringify(json, null, 2)}\n`);
}

function halved(tensor: HostTensor): HostTensor<'f16'> {
  const { shape, data } = asFloats(tensor);
  return { dtype: 'f16', shape, data: fromFloat32('f16', data) as Uint16Array };
}
