import type { Program } from '../../../graph/index.ts';
import * as g from '../../../graph/index.ts';
import { cogVideoXTransformer, type TransformerConfig } from '../../../models/cogvideox/transformer/index.ts';
import { t5Encoder } from '../../../models/t5/index.ts';
import { Parameters } from '../../../nn/parameters.ts';
import type { HostTensor } from '../../../tensor/host-tensor.ts';
import type { Shape } from '../../../tensor/shape.ts';
import { textConfig } from '../configs.ts';
import { gradientProgram } from '../gradient-program.ts';
import { initialParameters } from '../initialize.ts';

/** Shape of one batch of latents [B, f, C, h, w]. */
export interface LatentBatchShape {
  readonly batch: number;
  readonly latentFrames: number;
  readonly side: number;
  /** Tokens that are trained on, of each sample; default all. */
  readonly tokens?: number | undefined;
}

export interface TransformerObjective {
  readonly program: Program;
  readonly trainable: ReadonlyMap<string, { readonly shape: Shape }>;
}

/**
 * v-prediction (Salimans and Ho 2022): the transformer sees a·x + b·ε and answers a·ε − b·x. Inputs: scaled
 * `latents` and `noise` [B, f, C, h, w]; `signal` a and `sigma` b [B, 1, 1, 1, 1]; `timestep` [B]; token `ids`
 * [B, S] of the captions, which the frozen text encoder reads here (a hundredth of the work, and no states
 * have to be stored or sent); `weight` [B, f, 1, h, w] of the squared error, with mean 1.
 *
 * With `tokens` K these are [B, 1, C, 1, K] and [B, 1, 1, 1, K], and `positions` [B, S + K] tells where the tokens
 * stand ({@link TokenSelection}).
 */
export function transformerObjective(
  config: TransformerConfig,
  { batch, latentFrames, side, tokens }: LatentBatchShape,
  options: { readonly checkpointed?: boolean } = {},
): TransformerObjective {
  const [frames, rows, columns] = tokens ? [1, 1, tokens] : [latentFrames, side, side];
  const shape = [batch, frames, config.latentChannels, rows, columns];
  const selection = tokens && {
    grid: { frames: latentFrames, rows: side, columns: side },
    positions: g.input('positions', [batch, config.textTokens + tokens], 'i64'),
  };
  const perSample = [batch, 1, 1, 1, 1];
  const [latents, noise] = [g.input('latents', shape), g.input('noise', shape)];
  const [signal, sigma] = [g.input('signal', perSample), g.input('sigma', perSample)];
  const ids = g.input('ids', [batch, config.textTokens], 'i64');
  const text = t5Encoder(textConfig(), new Parameters().root, { ids });
  const parameters = new Parameters(() => true);
  const velocity = cogVideoXTransformer(
    config,
    parameters.root,
    {
      latents: g.add(g.mul(signal, latents), g.mul(sigma, noise)),
      text,
      timestep: g.input('timestep', [batch]),
    },
    { checkpointBlocks: options.checkpointed ?? false, ...(selection && { selection }) },
  );
  const target = g.sub(g.mul(signal, noise), g.mul(sigma, latents));
  const squared = g.square(g.sub(velocity, target));
  const weight = g.input('weight', [batch, frames, 1, rows, columns]);
  const loss = g.mean(g.mul(squared, weight));
  const program = gradientProgram(`pretrain-transformer-${batch}x${latentFrames}`, parameters, { loss });
  return { program, trainable: parameters.declared };
}

/** First values: every block begins as the identity and the output as zero (Peebles and Xie 2023, adaLN-Zero). */
export function initialTransformer(
  trainable: TransformerObjective['trainable'],
  seed: number,
): Map<string, HostTensor> {
  return initialParameters(trainable, seed, [
    [/(norm1|norm2|norm_out)\.linear\.weight$/, { constant: 0 }],
    [/^proj_out\.weight$/, { constant: 0 }],
    [/norm_[qk]\.weight$/, { constant: 1 }],
    [/norm_final\.weight$/, { constant: 1 }],
  ]);
}
