import { z } from 'zod';
import { latestCheckpoint } from '../store/checkpoint.ts';
import { readRun } from '../store/run-folder.ts';
import { DualrealError } from '../tensor/errors.ts';
import { writeModel } from '../toybox/pretrain/export.ts';
import { latentScale } from '../toybox/pretrain/latent-scale.ts';
import { type Manifest, updateManifest } from '../toybox/pretrain/manifest.ts';
import { averageOf } from '../toybox/pretrain/session.ts';
import { vaeVariant } from '../toybox/pretrain/vae-configs.ts';
import { pretrainFolder } from './pretrain.ts';
import { pretrainRequestSchema } from './pretrain-request.ts';
import { universePreparation } from './preview-universe.ts';
import type { WorkflowContext, WorkflowEvent } from './workflow.ts';

/** What `dualreal pretrain export <model>` is asked for. */
export const pretrainExportRequestSchema = z.strictObject({
  ...pretrainRequestSchema.pick({
    model: true,
    variant: true,
    name: true,
    stateFolder: true,
    weightsFolder: true,
    cacheFolder: true,
    artFolder: true,
    device: true,
    threads: true,
  }).shape,
});

export type PretrainExportRequest = z.output<typeof pretrainExportRequestSchema>;

/** Writes the averaged weights of a run's newest checkpoint into the base, f16, and updates its manifest. */
export async function* exportPretrained(
  request: PretrainExportRequest,
  context: WorkflowContext,
): AsyncGenerator<WorkflowEvent, Manifest> {
  const { model, variant, weightsFolder, device, threads } = request;
  const run = await readRun(pretrainFolder(request));
  const { checkpoint, notices } = await latestCheckpoint(run);
  for (const message of notices) yield { type: 'notice', message };
  if (!checkpoint) {
    throw new DualrealError({ where: run.path, expected: 'a checkpoint', got: 'none yet' });
  }
  const { step, progress } = checkpoint;
  const parameters = averageOf(checkpoint.tensors);
  let scale: { scalingFactor?: number } = {};
  if (model === 'vae') {
    yield* universePreparation(request, context.signal);
    yield { type: 'stage', stage: 'measuring latents' };
    const runtime = context.openRuntime({ device, threads });
    const { config } = vaeVariant(variant);
    scale = { scalingFactor: await latentScale(runtime, request.cacheFolder, config, parameters) };
    await runtime.close();
  }
  const components = await writeModel(weightsFolder, { model, variant, parameters, ...scale });
  for (const component of components) {
    yield { type: 'artifact', kind: 'weights', path: `${weightsFolder}/${component}` };
  }
  return updateManifest(weightsFolder, model, {
    components,
    variant,
    seed: Number(run.request.seed),
    step,
    totalSteps: Number(progress.totalSteps),
    seconds: Math.round(Number(progress.seconds)),
  });
}
