import { join } from 'node:path';
import { openWeights } from '../../store/weights.ts';
import { asFloats, type HostTensor } from '../../tensor/host-tensor.ts';

/** Folders of the base that pretraining fills. */
export type ShippedComponent = 'image_encoder' | 'dino' | 'text_encoder' | 'vae' | 'transformer';

/** All weights of one component of the base, as f32. */
export async function readShipped(
  weightsFolder: string,
  component: ShippedComponent,
): Promise<Map<string, HostTensor>> {
  const files = await openWeights(join(weightsFolder, component));
  const weights = new Map<string, HostTensor>();
  for (const name of files.entries.keys()) weights.set(name, asFloats(await files.read(name)));
  return weights;
}
