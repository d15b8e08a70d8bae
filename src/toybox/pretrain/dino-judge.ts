import * as g from '../../graph/index.ts';
import { preprocess } from '../../media/preprocess.ts';
import { dinoFeatures } from '../../models/dino/index.ts';
import { Parameters } from '../../nn/parameters.ts';
import type { Runtime } from '../../runtime/index.ts';
import { hostTensor } from '../../tensor/host-tensor.ts';
import { createReferences } from '../universe/evaluation.ts';
import { DINO_PREPROCESS, dinoConfig, SIDE } from './configs.ts';
import { inputsOf } from './program-inputs.ts';
import { nearest, share, unitRows } from './retrieval.ts';
import type { TensorTable } from './task.ts';

const BATCH = 32;
const FRAME_BYTES = SIDE * SIDE * 3;

export interface DinoScore extends Readonly<Record<string, number>> {
  /** Share of photos whose most similar other photo, of all subjects, shows the same subject. */
  readonly instanceOfPhoto: number;
}

/** Instance retrieval among the photos of held-out subjects; a subject's photos are all of different scenes. */
export async function openDinoJudge(
  runtime: Runtime,
  cacheFolder: string,
  split: 'evaluation' | 'development',
): Promise<(weights: TensorTable) => Promise<DinoScore>> {
  const config = dinoConfig();
  const pixels = g.input('pixels', [BATCH, 3, SIDE, SIDE]);
  const features = dinoFeatures(config, new Parameters(() => true).root, pixels);
  const encoder = await runtime.compile(g.program('dino-photos', { features }));
  const references = createReferences({ seed: 1, split, stage: 2, frames: 9, cacheFolder });
  const photos = references.catalogue.subjects.flatMap(({ id }) => references.photos(id));
  return async (weights) => {
    const rows = new Float32Array(photos.length * config.width);
    for (let from = 0; from < photos.length; from += BATCH) {
      const part = photos.slice(from, from + BATCH);
      const frames = new Uint8Array(BATCH * FRAME_BYTES);
      for (const [i, photo] of part.entries()) frames.set(photo.frames, i * FRAME_BYTES);
      const prepared = preprocess(hostTensor('u8', [BATCH, SIDE, SIDE, 3], frames), DINO_PREPROCESS);
      const output = await encoder.run({ ...inputsOf(encoder.program, weights), pixels: prepared });
      const found = output.features.data as Float32Array;
      rows.set(found.subarray(0, part.length * config.width), from * config.width);
    }
    const unit = unitRows(rows, config.width);
    const found = nearest(unit, unit, config.width, (query, candidate) => query !== candidate);
    const subjectOf = (at: number) => photos[at].labels.subject;
    return { instanceOfPhoto: share(found.map((at, query) => subjectOf(at) === subjectOf(query))) };
  };
}
