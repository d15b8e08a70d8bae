import * as g from '../../graph/index.ts';
import { preprocess } from '../../media/preprocess.ts';
import { clipImageFeatures, clipTextFeatures } from '../../models/clip/index.ts';
import { Parameters } from '../../nn/parameters.ts';
import type { Executable, Runtime, Tensors } from '../../runtime/index.ts';
import { hostTensor } from '../../tensor/host-tensor.ts';
import { sizeOf } from '../../tensor/shape.ts';
import { CLIP_PREPROCESS, clipConfig, SIDE } from './configs.ts';
import { inputsOf } from './program-inputs.ts';
import { unitRows } from './retrieval.ts';
import type { TensorTable } from './task.ts';
import { clipTokenizerFiles, TEXT_TOKENS, tokenizerOf } from './tokenizers.ts';

const FRAME_BYTES = SIDE * SIDE * 3;

export interface ClipEmbedders {
  /** Pictures [N, 64, 64, 3] → unit rows [N, E]. */
  images(frames: Uint8Array): Promise<Float32Array>;
  /** Captions → unit rows [N, E]. */
  texts(captions: readonly string[]): Promise<Float32Array>;
}

/** Compiles both towers for batches of up to `batch`. */
export async function openClipEmbedders(
  runtime: Runtime,
  batch = 50,
): Promise<(weights: TensorTable) => ClipEmbedders> {
  const config = clipConfig();
  const scope = new Parameters(() => true).root;
  const image = clipImageFeatures(config, scope, g.input('pixels', [batch, 3, SIDE, SIDE]));
  const text = clipTextFeatures(config, scope, { ids: g.input('ids', [batch, TEXT_TOKENS], 'i64') });
  const imageTower = await runtime.compile(g.program('clip-images', { features: image }));
  const textTower = await runtime.compile(g.program('clip-texts', { features: text }));
  const tokenizer = tokenizerOf(clipTokenizerFiles(), 'CLIP');

  /** Runs over `count` rows, batch by batch; the last one is filled up with zeros. */
  const embed = async (
    tower: Executable,
    weights: TensorTable,
    count: number,
    rowsAt: (from: number, rows: number) => Tensors,
  ): Promise<Float32Array> => {
    const own = inputsOf(tower.program, weights);
    const out = new Float32Array(count * config.embeddingDim);
    for (let from = 0; from < count; from += batch) {
      const rows = Math.min(batch, count - from);
      const { features } = await tower.run({ ...own, ...rowsAt(from, rows) });
      const used = (features.data as Float32Array).subarray(0, rows * config.embeddingDim);
      out.set(used, from * config.embeddingDim);
    }
    return unitRows(out, config.embeddingDim);
  };

  return (weights) => ({
    images: (frames) =>
      embed(imageTower, weights, frames.length / FRAME_BYTES, (from, rows) => {
        const pixels = new Uint8Array(batch * FRAME_BYTES);
        pixels.set(frames.subarray(from * FRAME_BYTES, (from + rows) * FRAME_BYTES));
        return { pixels: preprocess(hostTensor('u8', [batch, SIDE, SIDE, 3], pixels), CLIP_PREPROCESS) };
      }),
    texts: (captions) =>
      embed(textTower, weights, captions.length, (from, rows) => {
        const ids = new BigInt64Array(sizeOf([batch, TEXT_TOKENS])).fill(BigInt(tokenizer.padId));
        for (let i = 0; i < rows; i++) {
          ids.set(tokenizer.encode(captions[from + i], TEXT_TOKENS).ids.data, i * TEXT_TOKENS);
        }
        return { ids: hostTensor('i64', [batch, TEXT_TOKENS], ids) };
      }),
  });
}
