import type { Value } from '../../../graph/index.ts';
import * as g from '../../../graph/index.ts';
import { linear } from '../../../nn/layers.ts';
import type { ParameterScope } from '../../../nn/parameters.ts';
import { ShapeError } from '../../../tensor/errors.ts';
import { floats } from '../../../tensor/host-tensor.ts';
import { formatShape } from '../../../tensor/shape.ts';
import { transformerBlock } from './block.ts';
import type { TransformerConfig } from './config.ts';
import type { Probe, TransformerHooks } from './hooks.ts';
import { StreamFactors } from './modulation.ts';
import { type GridSize, nominalBaseGrid, rotaryTables, sincosTable, type TokenGrid } from './positions.ts';

export interface TransformerInputs {
  /** Noisy latents [B, f, C, h, w]. */
  readonly latents: Value;
  /** Text embeddings [B, S, textDim]. */
  readonly text: Value;
  /** Timesteps [B] in 0 … 999, as f32. */
  readonly timestep: Value;
}

export interface TransformerOptions {
  readonly hooks?: TransformerHooks;
  readonly probe?: Probe;
  /** Grid that rotary positions are spread over; default: that of the checkpoint's nominal size. */
  readonly rotaryBase?: GridSize;
  /** Recompute each block in the backward pass instead of keeping its activations. */
  readonly checkpointBlocks?: boolean;
  /** The latents are a selection of a grid's tokens. */
  readonly selection?: TokenSelection;
}

/**
 * Some tokens of a grid, another choice for each sample: the latents are then [B, 1, C, 1, K], of patch 1 and with
 * rotary positions, and so is the output. (Training on some of the tokens: Zheng et al. 2023, MaskDiT.)
 */
export interface TokenSelection {
  readonly grid: TokenGrid;
  /** Places [B, S + K], i64: those of the text, 0 … S − 1, then S + the place in the grid. */
  readonly positions: Value;
}

/** CogVideoX's diffusion transformer: the model's output (a velocity) [B, f, C, h, w]. */
export function cogVideoXTransformer(
  config: TransformerConfig,
  scope: ParameterScope,
  { latents, text, timestep }: TransformerInputs,
  options: TransformerOptions = {},
): Value {
  const { hooks = {}, probe } = options;
  const grid = tokenGrid(config, latents);
  if (options.selection) requireSelectable(config, grid);
  const textTokens = text.shape[1];
  const videoTokens = grid.frames * grid.rows * grid.columns;

  const projection = timestepProjection(timestep, config.width);
  probe?.('time_proj', projection);
  const timeScope = scope.at('time_embedding');
  const hidden = g.silu(linear(timeScope.at('linear_1'), projection, config.timeEmbeddingDim));
  const timeEmbedding = linear(timeScope.at('linear_2'), hidden, config.timeEmbeddingDim); // [B, E]
  probe?.('temb', timeEmbedding);

  let x = embedTokens(config, scope.at('patch_embed'), latents, text, grid);
  probe?.('patch_embed', x);
  hooks.beforeBlocks?.(x, timeEmbedding);

  const context = {
    config,
    factors: new StreamFactors(textTokens, videoTokens),
    activatedTime: g.silu(timeEmbedding),
    rotary: rotaryConstants(config, textTokens, options.selection?.grid ?? grid, options),
    hooks,
    probe,
  };
  for (let block = 0; block < config.blocks; block++) {
    const site = { block, textTokens };
    const blockScope = scope.at('transformer_blocks', block);
    const input = x;
    const run = () => transformerBlock(blockScope, input, site, context);
    x = options.checkpointBlocks ? g.checkpoint(run) : run();
  }
  return outputHead(config, scope, x, context.activatedTime, grid, textTokens, probe);
}

/** The token grid of latents [B, f, C, h, w]; throws where they are no whole number of patches. */
export function tokenGrid(
  { patch, latentChannels }: TransformerConfig,
  latents: { shape: readonly number[] },
): TokenGrid {
  const [, frames, channels, height, width] = latents.shape;
  if (latents.shape.length !== 5 || channels !== latentChannels || height % patch || width % patch) {
    throw new ShapeError({
      where: 'transformer latents',
      expected: `[B, f, ${latentChannels}, h, w] with h and w multiples of ${patch}`,
      got: formatShape(latents.shape),
    });
  }
  return { frames, rows: height / patch, columns: width / patch };
}

/** A patch of several cells, or positions that are added to whole grids, cannot be had token by token. */
function requireSelectable({ patch, positions }: TransformerConfig, { frames, rows }: TokenGrid): void {
  if (patch === 1 && positions === 'rotary' && frames === 1 && rows === 1) return;
  throw new ShapeError({
    where: 'selected tokens of a transformer',
    expected: 'latents [B, 1, C, 1, K], patch 1 and rotary positions',
    got: `${frames} frames of ${rows} rows, patch ${patch}, ${positions} positions`,
  });
}

/**
 * Sinusoids [cos, sin] of the timestep: [B] → [B, D] (diffusers Timesteps, flipped, no shift). Exponents are
 * rounded to f32 on the way as upstream rounds them: times up to 999, exact ones would give other angles.
 */
function timestepProjection(timestep: Value, width: number): Value {
  const half = width / 2;
  const { fround } = Math;
  const frequencies = Float32Array.from({ length: half }, (_, i) =>
    Math.exp(fround(fround(fround(-Math.log(10000)) * i) / half)),
  );
  const angles = g.mul(g.reshape(timestep, [-1, 1]), g.constant(floats([1, half], frequencies)));
  return g.concat([g.cos(angles), g.sin(angles)], 1);
}

/** Projected text tokens followed by projected patches, [B, S + N, D] (diffusers CogVideoXPatchEmbed). */
function embedTokens(
  config: TransformerConfig,
  scope: ParameterScope,
  latents: Value,
  text: Value,
  { frames, rows, columns }: TokenGrid,
): Value {
  const { patch, latentChannels, width, patchBias } = config;
  const [batch] = latents.shape;
  const split = g.reshape(latents, [batch, frames, latentChannels, rows, patch, columns, patch]);
  const patches = g.reshape(g.transpose(split, [0, 1, 3, 5, 2, 4, 6]), [
    batch,
    frames * rows * columns,
    latentChannels * patch * patch,
  ]); // [B, N, C·p·p]
  const kernel = scope.at('proj').get('weight', [width, latentChannels, patch, patch]);
  const bias = patchBias ? scope.at('proj').get('bias', [width]) : undefined;
  const video = g.linear(patches, g.reshape(kernel, [width, latentChannels * patch * patch]), bias);
  const tokens = g.concat([linear(scope.at('text_proj'), text, width), video], 1);
  if (config.positions === 'rotary') return tokens;
  return g.add(tokens, g.constant(sincosTable(config, text.shape[1], { frames, rows, columns })));
}

function rotaryConstants(
  config: TransformerConfig,
  textTokens: number,
  grid: TokenGrid,
  { rotaryBase, selection }: TransformerOptions,
) {
  if (config.positions !== 'rotary') return undefined;
  const { cos, sin } = rotaryTables(config.headDim, textTokens, grid, rotaryBase ?? nominalBaseGrid(config));
  return { cos: g.constant(cos), sin: g.constant(sin), positions: selection?.positions };
}

/** Final norms, projection and unpatchify: [B, S + N, D] → [B, f, C, h, w]. */
function outputHead(
  config: TransformerConfig,
  scope: ParameterScope,
  tokens: Value,
  activatedTime: Value,
  { frames, rows, columns }: TokenGrid,
  textTokens: number,
  probe: Probe | undefined,
): Value {
  const { width, normEpsilon, patch, outChannels } = config;
  const affine = (path: ParameterScope, x: Value) =>
    g.layerNorm(x, path.get('weight', [width]), path.get('bias', [width]), normEpsilon);
  // Text tokens end here: both norms act per token, so dropping them first changes nothing.
  const video = g.slice(tokens, 1, textTokens, tokens.shape[1]); // [B, N, D]
  if (probe)
    probe('norm_final', affine(scope.at('norm_final'), config.positions === 'rotary' ? tokens : video));
  const normed = affine(scope.at('norm_final'), video);
  const out = scope.at('norm_out');
  const [shift, scale] = g.chunk(linear(out.at('linear'), activatedTime, 2 * width), 1, 2);
  const rowsOf = (value: Value) => g.reshape(value, [-1, 1, width]);
  const modulated = g.add(g.mul(affine(out.at('norm'), normed), rowsOf(g.add(scale, 1))), rowsOf(shift));
  probe?.('norm_out', modulated);
  const pixels = linear(scope.at('proj_out'), modulated, outChannels * patch * patch);
  const split = g.reshape(pixels, [-1, frames, rows, columns, outChannels, patch, patch]);
  return g.reshape(g.transpose(split, [0, 1, 4, 2, 5, 3, 6]), [
    tokens.shape[0],
    frames,
    outChannels,
    rows * patch,
    columns * patch,
  ]);
}
