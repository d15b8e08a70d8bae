import { clipBatcher } from './clip.ts';
import { dinoBatcher } from './dino-views.ts';
import type { PretrainedModel } from './recipe.ts';
import type { Batcher, BatchRequest } from './task.ts';
import { textBatcher } from './text.ts';
import { vaeBatcher } from './vae-batches.ts';

const BATCHERS: Readonly<Record<PretrainedModel, (request: BatchRequest) => Batcher>> = {
  clip: clipBatcher,
  dino: dinoBatcher,
  text: textBatcher,
  vae: vaeBatcher,
};

export function batcherOf(request: BatchRequest): Batcher {
  return BATCHERS[request.model](request);
}
