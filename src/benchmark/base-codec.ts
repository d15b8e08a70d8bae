import { fitFrames, fromModelRange, toModelRange } from '../media/index.ts';
import type { Runtime } from '../runtime/index.ts';
import { FeatureCache } from '../store/feature-cache.ts';
import { hostTensor, reshaped } from '../tensor/host-tensor.ts';
import { SIDE } from '../toybox/pretrain/configs.ts';
import { openBase } from '../workflows/base.ts';
import type { WorkflowContext } from '../workflows/workflow.ts';
import type { BenchPlan } from './plan.ts';

/** Takes clips through a base's VAE, as everything that it generates comes out of it. */
export interface BaseCodec {
  /** A clip [F, 64, 64, 3] → what is left of it. */
  run(clip: Uint8Array): Promise<Uint8Array>;
  release(): Promise<void>;
}

/** The codec of the plan's base, at the size of its videos. */
export async function openBaseCodec(
  runtime: Runtime,
  plan: BenchPlan,
  context: WorkflowContext,
): Promise<BaseCodec> {
  const base = await openBase(plan.base.location, { cache: new FeatureCache(context.cacheFolder) });
  const { width = base.nominal.width, height = base.nominal.height } = plan.request;
  const encoders = await base.openEncoders(runtime);
  const decoder = base.openDecoder(runtime);
  return {
    async run(clip) {
      const own = hostTensor('u8', [plan.frames, SIDE, SIDE, 3], clip);
      const pixels = toModelRange(fitFrames(own, { width, height }, 'stretch'));
      const { mean } = await (await encoders.video()).encode(pixels); // [f, C, h, w]
      const decoding = decoder.decode(reshaped(mean, [1, ...mean.shape]), undefined, context);
      for (;;) {
        const { done, value } = await decoding.next();
        if (!done) continue;
        return fitFrames(fromModelRange(value), { width: SIDE, height: SIDE }, 'stretch').data;
      }
    },
    async release() {
      await encoders.release();
      await decoder.release();
    },
  };
}
