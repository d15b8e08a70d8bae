import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseVaeConfig, VaeCodec } from '../../models/cogvideox/vae/index.ts';
import type { Runtime } from '../../runtime/index.ts';
import { reshaped } from '../../tensor/host-tensor.ts';
import { createUniverse } from '../universe/universe.ts';
import { SIDE } from './configs.ts';
import { readShipped } from './shipped.ts';
import { videoTensor } from './vae-batches.ts';
import { bytesOfVideo, VaeQuality, type VaeScore } from './vae-quality.ts';

const CLIPS = 64;
const FRAMES = 9;

/** The base's VAE, through the codec that everything else uses, on clips that never enter pretraining. */
export async function judgeVae(
  runtime: Runtime,
  cacheFolder: string,
  weightsFolder: string,
  onClip: (done: number, total: number) => void = () => {},
): Promise<VaeScore> {
  const configPath = join(weightsFolder, 'vae', 'config.json');
  const config = parseVaeConfig(JSON.parse(await readFile(configPath, 'utf8')), configPath);
  const codec = new VaeCodec(runtime, config, await readShipped(weightsFolder, 'vae'));
  const universe = createUniverse({ seed: 1, split: 'combinations', stage: 2, frames: FRAMES, cacheFolder });
  const quality = new VaeQuality();
  try {
    for (let i = 0; i < CLIPS; i++) {
      const clip = universe.render(i);
      const video = reshaped(videoTensor([clip.frames]), [FRAMES, 3, SIDE, SIDE]);
      const { mean } = await codec.encode(video);
      const rebuilt = await codec.decode(mean);
      quality.add(clip.frames, bytesOfVideo(rebuilt.data), clip.mask);
      onClip(i + 1, CLIPS);
    }
  } finally {
    await codec.release();
  }
  return quality.score();
}
