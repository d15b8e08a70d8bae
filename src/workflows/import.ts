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
  /** Name of the base they were trained on, for people to read. */
  baseName: z.string().min(1).optional(),
  overwrite: z.boolean().default(false),
});

export type ImportRequest = z.infer<typeof importRequestSchema>;

export interface ImportResult {
  readonly path: string;
  readonly sizeBytes: number;
  readonly sourceSizeBytes: number;
  readonly recipe: AdapterRecipe;
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
