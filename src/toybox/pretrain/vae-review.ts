import * as g from '../../graph/index.ts';
import { cellsOfVideo, renderContactSheet, type SheetRow } from '../../media/contact-sheet.ts';
import { type VaeConfig, vaeTrainingForward } from '../../models/cogvideox/vae/index.ts';
import { Parameters } from '../../nn/parameters.ts';
import type { Executable, Runtime } from '../../runtime/index.ts';
import { hostTensor, zeros } from '../../tensor/host-tensor.ts';
import { createUniverse } from '../universe/universe.ts';
import { SIDE } from './configs.ts';
import { inputsOf } from './program-inputs.ts';
import type { Review } from './task.ts';
import { videoTensor } from './vae-batches.ts';
import { bytesOfVideo, VaeQuality } from './vae-quality.ts';

const CLIPS = 16;
const FRAMES = 9;
const SHEET_ROWS = 5;

/** Held-out clips and pictures through the posterior's mean: quality and a sheet of originals above results. */
export async function openVaeReview(
  runtime: Runtime,
  cacheFolder: string,
  config: VaeConfig,
): Promise<Review> {
  const settings = { seed: 2, split: 'combinations', stage: 2, cacheFolder } as const;
  const clips = Array.from({ length: CLIPS }, (_, i) =>
    createUniverse({ ...settings, frames: FRAMES }).render(i),
  );
  const universe = createUniverse({ ...settings, frames: 1 });
  const pictures = Array.from({ length: CLIPS }, (_, i) => universe.render(i));
  const clipModel = await compileCodec(runtime, config, FRAMES);
  const pictureModel = await compileCodec(runtime, config, 1);

  return async (parameters) => {
    const rebuild = async (model: Executable, original: Uint8Array) => {
      const clip = videoTensor([original]);
      const noise = zeros('f32', model.program.inputs.get('noise')!.shape);
      const { video } = await model.run({ ...inputsOf(model.program, parameters), clip, noise });
      return bytesOfVideo(video.data as Float32Array);
    };
    const quality = new VaeQuality();
    const rows: SheetRow[] = [];
    for (const clip of clips) {
      const rebuilt = await rebuild(clipModel, clip.frames);
      quality.add(clip.frames, rebuilt, clip.mask);
      if (rows.length < 2 * SHEET_ROWS) {
        rows.push(sheetRow(clip.caption, clip.frames), sheetRow('rebuilt', rebuilt));
      }
    }
    const still = new VaeQuality();
    for (const picture of pictures) {
      still.add(picture.frames, await rebuild(pictureModel, picture.frames), picture.mask);
    }
    return {
      numbers: { ...quality.score(), picturePsnr: still.score().psnr },
      sheets: [
        { name: 'rebuilt', png: await renderContactSheet('VAE sheet', rows, { cellWidth: 2 * SIDE }) },
      ],
    };
  };
}

function compileCodec(runtime: Runtime, config: VaeConfig, frames: number): Promise<Executable> {
  const latentFrames = 1 + (frames - 1) / config.temporalCompression;
  const latentSide = SIDE / config.spatialCompression;
  const { reconstruction } = vaeTrainingForward(
    config,
    new Parameters(() => true).root,
    g.input('clip', [1, frames, 3, SIDE, SIDE]),
    g.input('noise', [1, latentFrames, config.latentChannels, latentSide, latentSide]),
  );
  return runtime.compile(g.program(`vae-${frames}`, { video: reconstruction }));
}

function sheetRow(label: string, frames: Uint8Array): SheetRow {
  const shape = [frames.length / (SIDE * SIDE * 3), SIDE, SIDE, 3];
  return { label, cells: cellsOfVideo(hostTensor('u8', shape, frames), shape[0]) };
}
