import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { clipConfigJson } from '../../models/clip/index.ts';
import { vaeConfigJson } from '../../models/cogvideox/vae/index.ts';
import { dinoConfigJson } from '../../models/dino/index.ts';
import { t5ConfigJson } from '../../models/t5/index.ts';
import { writeFileAtomic } from '../../tensor/atomic-file.ts';
import { fromFloat32 } from '../../tensor/dtype.ts';
import { asFloats, type HostTensor } from '../../tensor/host-tensor.ts';
import { writeSafetensorsFile } from '../../tensor/safetensors.ts';
import { CLIP_PREPROCESS, clipConfig, DINO_PREPROCESS, dinoConfig, textConfig } from './configs.ts';
import { isDinoHead } from './dino.ts';
import { preprocessorJson } from './preprocessor-json.ts';
import type { PretrainedModel } from './recipe.ts';
import type { TensorTable } from './task.ts';
import { isTextHead } from './text.ts';
import { clipTokenizerFiles, type TokenizerFiles, t5TokenizerFiles } from './tokenizers.ts';
import { vaeVariant } from './vae-configs.ts';

/** What is exported: a run's averaged parameters. */
export interface ExportSource {
  readonly model: PretrainedModel;
  readonly variant: string;
  readonly parameters: TensorTable;
  /** Of the VAE: what latents are multiplied by. */
  readonly scalingFactor?: number;
}

/** Writes a model's folder (or folders) of the base in the published layout, f16; returns their names. */
export async function writeModel(weightsFolder: string, source: ExportSource): Promise<readonly string[]> {
  const { model, parameters } = source;
  const at = (name: string) => join(weightsFolder, name);
  switch (model) {
    case 'clip':
      await writeComponent(at('image_encoder'), 'model', parameters, {
        'config.json': clipConfigJson(clipConfig()),
        'preprocessor_config.json': preprocessorJson('CLIPImageProcessor', CLIP_PREPROCESS),
      });
      await writeTokenizer(at('image_encoder'), clipTokenizerFiles());
      return ['image_encoder'];
    case 'text':
      await writeComponent(at('text_encoder'), 'model', without(parameters, isTextHead), {
        'config.json': t5ConfigJson(textConfig()),
      });
      await writeTokenizer(at('tokenizer'), t5TokenizerFiles());
      return ['text_encoder', 'tokenizer'];
    case 'dino':
      await writeComponent(at('dino'), 'model', without(parameters, isDinoHead), {
        'config.json': dinoConfigJson(dinoConfig()),
        'preprocessor_config.json': preprocessorJson('ViTImageProcessor', DINO_PREPROCESS),
      });
      return ['dino'];
    case 'vae': {
      const { config } = vaeVariant(source.variant);
      const scalingFactor = source.scalingFactor ?? config.scalingFactor;
      await writeComponent(at('vae'), 'diffusion_pytorch_model', parameters, {
        'config.json': vaeConfigJson({ ...config, scalingFactor }),
      });
      return ['vae'];
    }
  }
}

async function writeComponent(
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

async function writeTokenizer(folder: string, { json, config }: TokenizerFiles): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeJson(join(folder, 'tokenizer.json'), json);
  await writeJson(join(folder, 'tokenizer_config.json'), config);
}

export function writeJson(path: string, json: object): Promise<void> {
  return writeFileAtomic(path, `${JSON.stringify(json, null, 2)}\n`);
}

function without(table: TensorTable, isLeftOut: (name: string) => boolean): TensorTable {
  return new Map([...table].filter(([name]) => !isLeftOut(name)));
}

function halved(tensor: HostTensor): HostTensor<'f16'> {
  const { shape, data } = asFloats(tensor);
  return { dtype: 'f16', shape, data: fromFloat32('f16', data) as Uint16Array };
}
