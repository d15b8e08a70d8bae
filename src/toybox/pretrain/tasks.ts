import { DualrealError } from '../../tensor/errors.ts';
import { clipTask } from './clip.ts';
import { dinoTask } from './dino.ts';
import { readShipped } from './shipped.ts';
import type { BatchRequest, PretrainingTask } from './task.ts';
import { textTask } from './text.ts';
import { vaeTask } from './vae.ts';

/** The task of a model. Throws where there is no such variant of it, or weights that it needs are missing. */
export async function openTask(request: BatchRequest): Promise<PretrainingTask> {
  const { model, variant } = request;
  if (model !== 'vae' && variant !== 'shipped') {
    throw new DualrealError({ where: `${model} variant`, expected: 'shipped', got: variant });
  }
  switch (model) {
    case 'clip':
      return clipTask(request);
    case 'text':
      return textTask(request, await readShipped(request.weightsFolder, 'image_encoder'));
    case 'dino':
      return dinoTask(request);
    case 'vae':
      return vaeTask(request);
  }
}
