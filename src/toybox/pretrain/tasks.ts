import { clipTask } from './clip.ts';
import { dinoTask } from './dino.ts';
import { readShipped } from './shipped.ts';
import type { BatchRequest, PretrainingTask } from './task.ts';
import { textTask } from './text.ts';
import { vaeTask } from './vae.ts';

/** The task of a model. */
export async function openTask(request: BatchRequest): Promise<PretrainingTask> {
  switch (request.model) {
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
