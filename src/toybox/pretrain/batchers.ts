import { clipBatcher } from './clip.ts';
import type { PretrainedModel } from './recipe.ts';
import type { Batcher, BatchRequest } from './task.ts';

const BATCHERS: Readonly<Partial<Record<PretrainedModel, (request: BatchRequest) => Batcher>>> = {
  clip: clipBatcher,
};

export function batcherOf(request: BatchRequest): Batcher {
  return BATCHERS[request.model]!(request);
}
