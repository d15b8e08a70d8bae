import { z } from 'zod';
import { latestCheckpoint } from '../store/checkpoint.ts';
import { readRun } from '../store/run-folder.ts';
import { DualrealError } from '../tensor/errors.ts';
import { type Manifest, updateManifest } from '../toybox/pretrain/manifest.ts';
import { averageOf } from '../toybox/pretrain/session.ts';
import { readBaseParts } from '../toybox/pretrain/transformer/base-parts.ts';
import { writeTransformer } from '../toybox/pretrain/transformer/export.ts';
import { transformerVariant } from '../toybox/pretrain/transformer/variants.ts';
import { transformerRunFolder } from './pretrain-transformer.ts';
import { transformerConfigOf } from './pretrain-transformer-plan.ts';
import { pretrainTransformerRequestSchema } from './pretrain-transformer-request.ts';
import type { WorkflowContext, WorkflowEvent } from './workflow.ts';

/** What `dualreal pretrain export-transformer` is asked for. */
export const exportTransformerRequestSchema = z.strictObject({
  ...pretrainTransformerRequestSchema.pick({
    variant: true,
    name: true,
    stateFolder: true,
    weightsFolder: true,
    device: true,
    threads: true,
  }).shape,
});

export type ExportTransformerRequest = z.output<typeof exportTransformerRequestSchema>;

/** Writes the averaged weights of a run's newest checkpoint into the base, f16, and updates its manifest. */
export async function* exportTransformer(
  request: ExportTransformerRequest,
  _context: WorkflowContext,
): AsyncGenerator<WorkflowEvent, Manifest> {
  const { variant, weightsFolder } = request;
  const run = await readRun(transformerRunFolder(request));
  const { checkpoint, notices } = await latestCheckpoint(run);
  for (const message of notices) yield { type: 'notice', message };
  if (!checkpoint) {
    throw new DualrealError({ where: run.path, expected: 'a checkpoint', got: 'none yet' });
  }
  const config = transformerConfigOf(transformerVariant(variant), await readBaseParts(weightsFolder));
  const components = await writeTransformer(weightsFolder, config, averageOf(checkpoint.tensors));
  for (const component of components) {
    yield { type: 'artifact', kind: 'weights', path: `${weightsFolder}/${component}` };
  }
  return updateManifest(weightsFolder, 'transformer', {
    components,
    variant,
    seed: Number(run.request.seed),
    step: checkpoint.step,
    totalSteps: Number(checkpoint.progress.totalSteps),
    seconds: Math.round(Number(checkpoint.progress.seconds)),
  });
}
