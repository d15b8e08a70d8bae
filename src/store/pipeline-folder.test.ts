import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { IncompleteFolderError } from './component-files.ts';
import { openPipelineFolder } from './pipeline-folder.ts';

const MODEL_INDEX = {
  _class_name: 'CogVideoXPipeline',
  _diffusers_version: '0.32.2',
  scheduler: ['diffusers', 'CogVideoXDDIMScheduler'],
  text_encoder: ['transformers', 'T5EncoderModel'],
  tokenizer: ['transformers', 'T5Tokenizer'],
  transformer: ['diffusers', 'CogVideoXTransformer3DModel'],
  vae: ['diffusers', 'AutoencoderKLCogVideoX'],
};

const FILES: Record<string, unknown> = {
  'model_index.json': MODEL_INDEX,
  'scheduler/scheduler_config.json': { _class_name: 'CogVideoXDDIMScheduler', beta_end: 0.012 },
  'text_encoder/config.json': { architectures: ['T5EncoderModel'], model_type: 't5' },
  'text_encoder/model.safetensors.index.json': { weight_map: { a: 'model-1.safetensors' } },
  'tokenizer/tokenizer_config.json': { tokenizer_class: 'T5Tokenizer' },
  'tokenizer/spiece.model': '',
  'transformer/config.json': { _class_name: 'CogVideoXTransformer3DModel', num_layers: 4 },
  'transformer/diffusion_pytorch_model.safetensors': '',
  'vae/config.json': { _class_name: 'AutoencoderKLCogVideoX' },
  'vae/diffusion_pytorch_model.safetensors': '',
};

let folder: string;
beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'dualreal-pipeline-')));
  for (const [name, contents] of Object.entries(FILES)) await put(name, contents);
});
afterEach(() => rm(folder, { recursive: true }));

async function put(name: string, contents: unknown): Promise<void> {
  await mkdir(dirname(join(folder, name)), { recursive: true });
  await writeFile(join(folder, name), typeof contents === 'string' ? contents : JSON.stringify(contents));
}

async function messageOf(): Promise<string> {
  const error = await openPipelineFolder(folder).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(IncompleteFolderError);
  return String(error);
}

describe('openPipelineFolder', () => {
  it('lists the components with their configurations', async () => {
    const { components, className } = await openPipelineFolder(folder);
    expect(className).toBe('CogVideoXPipeline');
    expect(Object.keys(components).sort()).toEqual([
      'scheduler',
      'text_encoder',
      'tokenizer',
      'transformer',
      'vae',
    ]);
    expect(components.transformer).toEqual({
      name: 'transformer',
      folder: join(folder, 'transformer'),
      className: 'CogVideoXTransformer3DModel',
      config: FILES['transformer/config.json'],
    });
  });

  it('takes a tokenizer without a configuration', async () => {
    await rm(join(folder, 'tokenizer/tokenizer_config.json'));
    await rm(join(folder, 'tokenizer/spiece.model'));
    await put('tokenizer/tokenizer.json', {});
    expect((await openPipelineFolder(folder)).components.tokenizer.config).toEqual({});
  });

  it('lists everything that is missing or of another class in one error', async () => {
    await put('model_index.json', {
      ...MODEL_INDEX,
      _class_name: 'FluxPipeline',
      vae: ['diffusers', 'AutoencoderKL'],
      scheduler: null,
    });
    await put('transformer/config.json', { _class_name: 'FluxTransformer2DModel' });
    await put('vae/config.json', {});
    await put('text_encoder/config.json', '{"architectures": [}');
    await rm(join(folder, 'transformer/diffusion_pytorch_model.safetensors'));
    await rm(join(folder, 'scheduler/scheduler_config.json'));
    await rm(join(folder, 'tokenizer'), { recursive: true });
    const message = await messageOf();
    for (const problem of [
      'model_index.json: _class_name is "FluxPipeline", not CogVideoXPipeline',
      'model_index.json: vae is "AutoencoderKL", not AutoencoderKLCogVideoX',
      'model_index.json: no component scheduler (CogVideoXDDIMScheduler or CogVideoXDPMScheduler)',
      'transformer/config.json: the class is "FluxTransformer2DModel", not CogVideoXTransformer3DModel',
      'vae/config.json: the class is undefined, not AutoencoderKLCogVideoX',
      'text_encoder/config.json: expected valid JSON',
      'transformer: no weights',
      'scheduler/scheduler_config.json: no such file',
      'tokenizer: no such folder',
    ]) {
      expect(message).toContain(problem);
    }
    expect(message.match(/\n {2}- /g)).toHaveLength(9);
  });

  it('lists broken weight indices and a tokenizer without its vocabulary', async () => {
    await put('text_encoder/model.safetensors.index.json', { weight_map: { a: '../x.safetensors' } });
    await rm(join(folder, 'tokenizer/spiece.model'));
    const message = await messageOf();
    expect(message).toContain('the name of a weights file in the same folder');
    expect(message).toContain('tokenizer: no tokenizer.json or spiece.model');
  });

  it('tells a folder without model_index.json from no folder', async () => {
    await rm(join(folder, 'model_index.json'));
    expect(await messageOf()).toContain('a folder without it');
    await expect(openPipelineFolder(join(folder, 'nowhere'))).rejects.toThrow('got no folder');
  });

  it('refuses an index that is not JSON', async () => {
    await put('model_index.json', 'not json');
    await expect(openPipelineFolder(folder)).rejects.toThrow('valid JSON');
  });
});
