import { clipTask } from './clip.ts';
import type { BatchRequest, PretrainingTask } from './task.ts';

/** The task of a model. */
export async function openTask(request: BatchRequest): Promise<PretrainingTask> {
  switch (request.model) {
    case 'clip':
      return clipTask(request);
    default:
      throw new RangeError(request.model);
  }
}
