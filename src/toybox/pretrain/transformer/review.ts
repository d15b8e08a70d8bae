import { cellsOfVideo, renderContactSheet, type SheetRow } from '../../../media/contact-sheet.ts';
import type { TransformerConfig } from '../../../models/cogvideox/transformer/index.ts';
import type { Runtime } from '../../../runtime/index.ts';
import { hostTensor } from '../../../tensor/host-tensor.ts';
import { createUniverse } from '../../universe/universe.ts';
import { SIDE } from '../configs.ts';
import type { TensorTable } from '../task.ts';
import { type BaseParts, transformerSchedule } from './base-parts.ts';
import { openLatentDecoder } from './latent-encoder.ts';
import { openTransformerSampler } from './sampler.ts';
import { type SampleKind, SHIPPED_GUIDANCE, type TransformerVariant } from './variants.ts';

const PROMPTS = 8;
const STEPS = 20;

/** Samples of held-out combinations, decoded, as a contact sheet. */
export async function openTransformerReview(
  runtime: Runtime,
  config: TransformerConfig,
  parts: BaseParts,
  { variant, cacheFolder }: { readonly variant: TransformerVariant; readonly cacheFolder: string },
): Promise<(parameters: TensorTable, kind: SampleKind) => Promise<Uint8Array>> {
  const latentFrames = { images: 1, clips: 1 + (variant.frames - 1) / config.temporalCompression } as const;
  const opened = async (kind: SampleKind) => {
    const shape = { batch: PROMPTS, latentFrames: latentFrames[kind] };
    const frames = kind === 'images' ? 1 : variant.frames;
    const { stage } = variant.recipe;
    const universe = createUniverse({ seed: 5, split: 'combinations', stage, frames, cacheFolder });
    return {
      sampler: await openTransformerSampler(runtime, config, transformerSchedule(), parts.textWeights, shape),
      decoder: await openLatentDecoder(runtime, parts.vae, parts.vaeWeights, shape),
      prompts: Array.from({ length: PROMPTS }, (_, i) => universe.describe(i).caption),
    };
  };
  const tools: Partial<Record<SampleKind, Awaited<ReturnType<typeof opened>>>> = {};
  return async (parameters, kind) => {
    tools[kind] ??= await opened(kind);
    const { sampler, decoder, prompts } = tools[kind];
    const latents = await sampler.sample(parameters, prompts, {
      seed: 5,
      steps: STEPS,
      guidance: SHIPPED_GUIDANCE,
    });
    const clips = await decoder.run(latents);
    const rows = clips.map((frames, i): SheetRow => {
      const shape = [frames.length / (SIDE * SIDE * 3), SIDE, SIDE, 3];
      return { label: prompts[i], cells: cellsOfVideo(hostTensor('u8', shape, frames), shape[0]) };
    });
    return renderContactSheet('Samples of unseen combinations', rows, { cellWidth: 2 * SIDE });
  };
}
