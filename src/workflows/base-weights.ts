import { input } from '../graph/index.ts';
import { cogVideoXTransformer, type TransformerConfig } from '../models/cogvideox/transformer/index.ts';
import { type VaeConfig, vaeParameters } from '../models/cogvideox/vae/index.ts';
import { parseT5Config, t5Encoder, untieT5Weights } from '../models/t5/index.ts';
import { Parameters } from '../nn/parameters.ts';
import { requireWeights, WeightsMismatchError } from '../runtime/index.ts';
import type { PipelineFolder } from '../store/pipeline-folder.ts';
import type { WeightFiles } from '../store/weights.ts';

export interface BaseParts {
  readonly pipeline: PipelineFolder;
  readonly transformer: TransformerConfig;
  readonly vae: VaeConfig;
  readonly weights: Readonly<Record<'transformer' | 'vae' | 'text_encoder', WeightFiles>>;
}

/**
 * Checks that the parts of a base fit each other, and their weights the models they belong to, by name and
 * shape. Everything that does not is listed in one error, before anything is loaded.
 */
export function requireBaseFits({ pipeline, transformer, vae, weights }: BaseParts): void {
  const { components, folder } = pipeline;
  const text = parseT5Config(components.text_encoder.config, components.text_encoder.folder);
  const problems: string[] = [];
  const check = (name: keyof typeof weights, declare: (scope: Parameters['root']) => void) => {
    const parameters = new Parameters();
    declare(parameters.root);
    const { entries } = weights[name];
    try {
      requireWeights(name, parameters.declared, name === 'text_encoder' ? untieT5Weights(entries) : entries);
    } catch (error) {
      if (!(error instanceof WeightsMismatchError)) throw error;
      problems.push(`${name}: expected ${error.expected}, got ${error.got}`);
    }
  };
  check('transformer', (scope) => {
    cogVideoXTransformer(transformer, scope, {
      latents: input('latents', [1, 1, transformer.latentChannels, transformer.patch, transformer.patch]),
      text: input('text', [1, 1, transformer.textDim]),
      timestep: input('timestep', [1]),
    });
  });
  check('vae', (scope) => vaeParameters(vae, scope));
  check('text_encoder', (scope) => {
    t5Encoder(text, scope, { ids: input('ids', [1, transformer.textTokens], 'i64') });
  });
  const extents: readonly (readonly [string, number, string, number])[] = [
    ['transformer in_channels', transformer.latentChannels, 'vae latent_channels', vae.latentChannels],
    ['transformer text_embed_dim', transformer.textDim, 'text_encoder d_model', text.width],
    [
      'transformer temporal_compression_ratio',
      transformer.temporalCompression,
      'vae temporal_compression_ratio',
      vae.temporalCompression,
    ],
  ];
  for (const [name, value, other, otherValue] of extents) {
    if (value !== otherValue) problems.push(`${name} is ${value}, but ${other} is ${otherValue}`);
  }
  if (problems.length === 0) return;
  throw new WeightsMismatchError({
    where: folder,
    expected: 'parts that fit each other, with the weights of their config.json',
    got: problems.map((problem) => `\n  - ${problem}`).join(''),
    hint: 'get the folder again: its files are not of one version, or some are missing',
  });
}
