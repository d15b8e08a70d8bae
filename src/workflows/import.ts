import { existsSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { z } from 'zod';
import { DUALREAL_PRESETS, type DualRealPreset } from '../methods/dualreal/index.ts';
import {
  type AdapterFile,
  type AdapterRecipe,
  optionsOfShape,
  readAdapterFile,
  writeAdapterFile,
} from '../store/adapter-file.ts';
import { readLoraFile, writeLoraFile } from '../store/lora-file.ts';
import { kindOfTrainedFile } from '../store/trained-file.ts';
import { DualrealError, throwIfCancelled } from '../tensor/errors.ts';
import { packageVersions } from './package-versions.ts';
import type { WorkflowContext, WorkflowEvent } from './workflow.ts';

const presets = Object.keys(DUALREAL_PRESETS) as [DualRealPreset, ...DualRealPreset[]];

/** What `import` is asked for. */
export const importRequestSchema = z.strictObject({
  /** The release's adapter.pth, or a safetensors file of the same tensors without a recipe. */
  source: z.string().min(1),
  /** adapter.safetensors to write. */
  out: z.string().min(1),
  /** How the adapters are meant to be computed; a file of the release is 'official'. */
  preset: z.enum(presets).default('official'),
  /** Of a LoRA file that does not say it; its updates are scaled by alpha / rank. */
  alpha: z.number().positive().optional(),
  /** Name of the base they were trained on, for people to read. */
  baseName: z.string().min(1).optional(),
  overwrite: z.boolean().default(false),
});

export type ImportRequest = z.infer<typeof importRequestSchema>;

export interface ImportResult {
  readonly path: string;
  readonly sizeBytes: number;
  readonly sourceSizeBytes: number;
  /** Of adapters. */
  readonly recipe?: AdapterRecipe;
}

/** A file that cannot be imported. Nothing was written. */
export class ImportError extends DualrealError {}

/**
 * Turns an adapter file of the official release into `adapter.safetensors` with a recipe. Values are kept
 * bit for bit; the pickle is never run.
 */
export async function* importAdapter(
  request: ImportRequest,
  context: Pick<WorkflowContext, 'signal'> = {},
): AsyncGenerator<WorkflowEvent, ImportResult> {
  const out = resolve(request.out);
  if (existsSync(out) && !request.overwrite) {
    throw new ImportError({
      where: out,
      expected: 'a new file',
      got: 'one that is there',
      hint: 'choose another name, or replace it with --overwrite',
    });
  }
  yield { type: 'stage', stage: 'reading', detail: request.source };
  if ((await kindOfTrainedFile(request.source)) === 'lora') return yield* importLora(request, out);
  if (request.alpha !== undefined) {
    throw new ImportError({ where: 'option --alpha', expected: 'a LoRA file', got: request.source });
  }
  const adapter = await readAdapterFile(request.source);
  if (adapter.recipe) {
    throw new ImportError({
      where: request.source,
      expected: 'a file without a recipe',
      got: `one that ${adapter.recipe.createdWith} made`,
      hint: 'use it as it is',
    });
  }
  throwIfCancelled(context.signal, 'importing');
  const recipe = recipeForFile(adapter, request.preset, request.baseName);
  await mkdir(dirname(out), { recursive: true });
  await writeAdapterFile(out, adapter.tensors, recipe, 'keep');
  yield { type: 'artifact', kind: 'adapter', path: out };
  const { size: sourceSizeBytes } = await stat(request.source);
  return { path: out, sizeBytes: (await stat(out)).size, sourceSizeBytes, recipe };
}

/** Writes a LoRA again with the alpha that its file does not tell; values are kept bit for bit. */
async function* importLora(
  { source, alpha }: ImportRequest,
  out: string,
): AsyncGenerator<WorkflowEvent, ImportResult> {
  const known = await readLoraFile(source);
  if (known.alpha === 'metadata' || alpha === undefined) {
    throw new ImportError({
      where: source,
      expected: 'a LoRA file that does not tell its alpha, and its alpha',
      got: alpha === undefined ? 'no alpha' : 'a file with its alpha',
      hint:
        known.alpha === 'metadata'
          ? 'use it as it is'
          : 'give the alpha that it was trained with: --alpha 64',
    });
  }
  const { lora } = await readLoraFile(source, { alpha });
  await mkdir(dirname(out), { recursive: true });
  await writeLoraFile(out, lora, 'keep');
  yield { type: 'artifact', kind: 'LoRA', path: out };
  return { path: out, sizeBytes: (await stat(out)).size, sourceSizeBytes: (await stat(source)).size };
}

/** The recipe of a file that carries none: its extents, a preset's options, and null for what is unknown. */
export function recipeForFile(
  { path, shape }: AdapterFile,
  preset: DualRealPreset,
  baseName?: string,
): AdapterRecipe {
  if (shape.form === 'fused' || shape.conditionDim === 0) {
    throw new ImportError({
      where: path,
      expected: 'adapters as the official release writes them, with condition_linear',
      got: 'folded adapters without the recipe that says for what',
    });
  }
  return {
    version: 1,
    options: optionsOfShape(preset, shape),
    preset,
    base: { name: baseName ?? null, hash: null, blocks: shape.blocks, width: shape.width },
    training: null,
    subject: null,
    motion: null,
    size: null,
    createdWith: `dualreal ${packageVersions().dualreal}, from ${basename(path)}`,
  };
}
