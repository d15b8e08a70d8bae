import { join } from 'node:path';
import * as g from '../src/graph/index.ts';
import {
  type BatchShape,
  DUALREAL_PRESETS,
  dualRealObjective,
  parameterGroup,
  traceDualReal,
} from '../src/methods/dualreal/index.ts';
import {
  cogVideoXTransformer,
  parseTransformerConfig,
  type TransformerConfig,
} from '../src/models/cogvideox/transformer/index.ts';
import { Parameters } from '../src/nn/parameters.ts';
import { GRADIENT_PREFIX } from '../src/runtime/index.ts';
import { floats, type HostTensor } from '../src/tensor/host-tensor.ts';
import { randomStream } from '../src/tensor/random.ts';
import { writeSafetensorsFile } from '../src/tensor/safetensors.ts';
import { type Shape, sizeOf } from '../src/tensor/shape.ts';

/** The three computations that are timed, always over the same model, batch and random weights. */
export const JOBS = ['infer', 'adapter', 'full'] as const;
export type Job = (typeof JOBS)[number];

/** What is varied; everything else is fixed by {@link setting}. */
export interface Size {
  readonly width: number;
  readonly heads: number;
  readonly blocks: number;
  readonly batch: number;
  readonly textTokens: number;
  readonly latentFrames: number;
  /** Rows and columns of latents; with patches of 2 there are a quarter as many tokens per frame. */
  readonly latentSide: number;
  /** Width of the image embedding that conditions the motion adapters. */
  readonly conditionDim: number;
  readonly positions: 'rotary' | 'sincos';
  /** Recompute blocks in the backward pass instead of keeping their activations. */
  readonly checkpointBlocks: boolean;
}

/** D192 (6 heads of 32), 14 blocks, 32 + 80 tokens, batch 4: the proportions of the embedded base. */
export const STANDARD_SIZE: Size = {
  width: 192,
  heads: 6,
  blocks: 14,
  batch: 4,
  textTokens: 32,
  latentFrames: 5,
  latentSide: 8,
  conditionDim: 128,
  positions: 'rotary',
  checkpointBlocks: false,
};

const optionsOf = ({ conditionDim }: Size) => ({ ...DUALREAL_PRESETS.official, conditionDim });
export const OPTIMIZER = {
  betas: [0.9, 0.95],
  epsilon: 1e-8,
  weightDecay: 1e-4,
  maxGradientNorm: 1,
} as const;
export const LEARNING_RATE = 1e-4;

/** The model's config and batch as the product knows them. */
export function setting(size: Size): { config: TransformerConfig; shape: BatchShape } {
  const config = parseTransformerConfig({
    num_attention_heads: size.heads,
    attention_head_dim: size.width / size.heads,
    in_channels: 16,
    time_embed_dim: size.width,
    text_embed_dim: 128,
    num_layers: size.blocks,
    sample_width: size.latentSide,
    sample_height: size.latentSide,
    max_text_seq_length: size.textTokens,
    use_rotary_positional_embeddings: size.positions === 'rotary',
  });
  const { batch, latentFrames, latentSide, textTokens } = size;
  const shape = { batch, latentFrames, latentHeight: latentSide, latentWidth: latentSide, textTokens };
  return { config, shape: { ...shape, conditioned: true } };
}

/** The program of a job and the trainable inputs it has. */
export function traceJob(job: Job, size: Size): { program: g.Program; trainable: Map<string, Shape> } {
  const { config, shape } = setting(size);
  const { checkpointBlocks } = size;
  if (job === 'adapter') {
    const program = dualRealObjective(config, optionsOf(size), shape, ['motion', 'controller'], {
      checkpointBlocks,
    });
    const adapters = [...program.inputs].filter(([name]) => parameterGroup(name) !== undefined);
    return { program, trainable: new Map(adapters.map(([name, value]) => [name, value.shape])) };
  }
  const parameters = new Parameters(() => job === 'full');
  const { batch, latentFrames, latentHeight, latentWidth, textTokens } = shape;
  const inputs = {
    latents: g.input('latents', [batch, latentFrames, config.latentChannels, latentHeight, latentWidth]),
    text: g.input('text', [batch, textTokens, config.textDim]),
    timestep: g.input('timestep', [batch]),
  };
  const output = cogVideoXTransformer(config, parameters.root, inputs, { checkpointBlocks });
  if (job === 'infer') return { program: g.program(job, { output }), trainable: new Map() };
  const loss = g.mean(g.square(g.sub(output, g.input('target', output.shape))));
  const declared = [...parameters.declared];
  const gradients = g.gradients(
    loss,
    declared.map(([, { value }]) => value),
  );
  const named = declared.map(([path], i) => [GRADIENT_PREFIX + path, gradients[i]!] as const);
  return {
    program: g.program(job, { loss, ...Object.fromEntries(named) }),
    trainable: new Map(declared.map(([path, { shape: own }]) => [path, own])),
  };
}

export const weightsFile = (folder: string) => join(folder, 'weights.safetensors');
export const batchFile = (folder: string) => join(folder, 'batch.safetensors');

/** Writes the weights of transformer, adapters and controller, and one batch, for both engines to read. */
export async function writeInputs(folder: string, size: Size): Promise<void> {
  const { config, shape } = setting(size);
  const { parameters, output } = traceDualReal(config, optionsOf(size), shape);
  const weights = new Map<string, HostTensor>();
  for (const [name, declared] of parameters.declared) {
    const isGain = /norm.*\.weight$/.test(name) && declared.shape.length === 1;
    weights.set(name, normal(['weights', name], declared.shape, isGain ? 0.02 : 0.03, isGain ? 1 : 0));
  }
  await writeSafetensorsFile(weightsFile(folder), weights);
  const latents = output.shape;
  const batch = new Map<string, HostTensor>([
    ['latents', normal(['latents'], latents)],
    ['target', normal(['target'], latents)],
    ['text', normal(['text'], [size.batch, size.textTokens, config.textDim])],
    ['condition', normal(['condition'], [size.batch, 1, size.conditionDim])],
    [
      'timestep',
      floats(
        [size.batch],
        Float32Array.from({ length: size.batch }, (_, i) => 137 + 211 * i),
      ),
    ],
  ]);
  await writeSafetensorsFile(batchFile(folder), batch);
}

function normal(path: readonly string[], shape: Shape, scale = 1, offset = 0): HostTensor<'f32'> {
  const stream = randomStream(1, 'bench', ...path);
  return floats(
    shape,
    Float32Array.from({ length: sizeOf(shape) }, () => offset + scale * stream.normal()),
  );
}
