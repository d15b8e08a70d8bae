import { stat } from 'node:fs/promises';
import { FeatureCache } from '../store/feature-cache.ts';
import { readRun } from '../store/run-folder.ts';
import { DualrealError } from '../tensor/errors.ts';
import type { FloatTensor } from '../tensor/host-tensor.ts';
import { openBase } from './base.ts';
import { baseOfAdapter } from './base-location.ts';
import { encodeReferenceFile } from './prepare.ts';
import { trainedImageEncoder } from './train-request.ts';
import type { WorkflowContext } from './workflow.ts';

export interface ReferenceEncoderSource {
  /** Run folder or adapter file; a run names its base and image encoder. */
  readonly adapter: string;
  /** Name of the base in the adapters' recipe. */
  readonly trainedOn?: string | null | undefined;
  readonly base: string | undefined;
  readonly imageEncoder: string | undefined;
}

/** The embedding [1, 1, E] of a reference photo by a base's image encoder. */
export async function encodeReferenceImage(
  image: string,
  { adapter, trainedOn, base, imageEncoder }: ReferenceEncoderSource,
  context: WorkflowContext,
): Promise<FloatTensor> {
  const run = (await stat(adapter)).isDirectory() ? (await readRun(adapter)).request : undefined;
  const folder = base ?? run?.base ?? baseOfAdapter(trainedOn);
  if (typeof folder !== 'string') {
    throw new DualrealError({
      where: adapter,
      expected: 'the base whose image encoder made the condition',
      got: 'none',
      hint: 'give its folder with --base',
    });
  }
  const cache = new FeatureCache(context.cacheFolder);
  const opened = await openBase(folder, { imageEncoder: imageEncoder ?? trainedImageEncoder(run), cache });
  const runtime = context.openRuntime({ device: 'cpu' });
  const encoders = await opened.openEncoders(runtime);
  try {
    return await encodeReferenceFile(image, encoders, cache, () => {});
  } finally {
    await encoders.release();
    await runtime.close();
  }
}
