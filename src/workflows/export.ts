import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import {
  DUALREAL_PRESETS,
  type DualRealOptions,
  expectedTensors,
  foldCondition,
  fuseAdapters,
} from '../methods/dualreal/index.ts';
import {
  type AdapterDType,
  type AdapterFile,
  type AdapterRecipe,
  readAdapterFile,
  storedTensor,
  writeAdapterFile,
} from '../store/adapter-file.ts';
import { writePth } from '../store/pickle/write-pth.ts';
import { readRun } from '../store/run-folder.ts';
import { reportingFullDisk } from '../store/storage-error.ts';
import { bytesOf } from '../tensor/dtype.ts';
import { throwIfCancelled } from '../tensor/errors.ts';
import { asFloats, type HostTensor } from '../tensor/host-tensor.ts';
import { areLoras, exportLora } from './export-lora.ts';
import { ExportError, type ExportRequest, type ExportResult } from './export-request.ts';
import { recipeForFile } from './import.ts';
import { REFERENCE_FILE } from './prepare.ts';
import { runFiles } from './trained-model.ts';
import type { WorkflowContext, WorkflowEvent } from './workflow.ts';

export { ExportError, type ExportRequest, type ExportResult, exportRequestSchema } from './export-request.ts';

export interface ExportContext extends Pick<WorkflowContext, 'signal'> {
  /** The embedding [1, 1, E] of a reference image by the adapter's image encoder; needed to fold. */
  readonly encodeReference?: (imagePath: string, adapter: AdapterFile) => Promise<HostTensor>;
}

/** Options that the release's code has fixed; what differs here would run there, and give other results. */
const FIXED_IN_RELEASE = [
  'placement',
  'weightTotal',
  'weightActivation',
  'weightScales',
  'geluPlacement',
  'skip',
  'conditionForm',
  'controllerOrder',
  'pooling',
] as const satisfies readonly (keyof DualRealOptions)[];

/** Writes adapters for the official release, in another storage dtype, or folded for one reference image. */
export async function* exportAdapter(
  request: ExportRequest,
  context: ExportContext,
): AsyncGenerator<WorkflowEvent, ExportResult> {
  const out = resolve(request.out);
  requireFree(out, request.overwrite);
  const { files, reference } = await locate(request);
  const [path] = files;
  yield { type: 'stage', stage: 'reading', detail: files.join(', ') };
  if (await areLoras(files)) return yield* exportLora(files, out, request);
  const adapter = await readAdapterFile(path);
  const recipe = adapter.recipe ?? recipeForFile(adapter, 'official');
  if (request.format === 'pth') requireLoadableByRelease(adapter, recipe, request);
  throwIfCancelled(context.signal, 'exporting');
  let tensors = adapter.tensors;
  let written = recipe;
  if (request.fold !== 'none') {
    yield { type: 'stage', stage: 'folding the condition', detail: reference ?? '' };
    const folded = await fold(adapter, recipe, request.fold, reference, context);
    tensors = folded.tensors;
    written = folded.recipe;
  }
  throwIfCancelled(context.signal, 'exporting');
  await mkdir(dirname(out), { recursive: true });
  if (request.format === 'pth') {
    const stored = new Map<string, HostTensor>();
    for (const name of expectedTensors(adapter.shape).keys()) {
      stored.set(name, storedTensor(tensors.get(name)!, request.dtype ?? 'bf16', `${out}: tensor ${name}`));
    }
    await reportingFullDisk(out, sizeOfAll(stored), () => writePth(out, stored));
  } else if (request.fold === 'none') {
    await writeAdapterFile(out, tensors, written, request.dtype ?? 'keep');
  } else {
    const dtype = request.dtype ?? 'keep';
    await writeAdapterFile(out, withFloatBiases(tensors, dtype, adapter, out), written, 'keep');
  }
  const sizeBytes = (await stat(out)).size;
  const sourceSizeBytes = (await stat(path)).size;
  yield { type: 'artifact', kind: 'adapter', path: out };
  return { path: out, sizeBytes, sourceSizeBytes };
}

/** The file of the adapters (or two of LoRAs), and the reference image where one is asked for or kept with the run. */
async function locate({
  adapter,
  reference,
}: ExportRequest): Promise<{ files: readonly string[]; reference?: string }> {
  const given = reference === undefined ? {} : { reference };
  const facts = await stat(adapter).catch(() => undefined);
  if (!facts) {
    throw new ExportError({ where: adapter, expected: 'a run folder or an adapter file', got: 'nothing' });
  }
  if (!facts.isDirectory()) return { files: [adapter], ...given };
  const run = await readRun(adapter);
  const kept = join(run.path, REFERENCE_FILE);
  return { files: runFiles(run), ...(existsSync(kept) && { reference: kept }), ...given };
}

async function fold(
  adapter: AdapterFile,
  recipe: AdapterRecipe,
  form: 'condition' | 'fused',
  reference: string | undefined,
  { encodeReference }: ExportContext,
): Promise<{ tensors: ReadonlyMap<string, HostTensor>; recipe: AdapterRecipe }> {
  if (reference === undefined || !encodeReference) {
    throw new ExportError({
      where: adapter.path,
      expected: 'a reference image of the subject to fold',
      got: reference === undefined ? 'none' : 'no image encoder for it',
      hint: 'give one with --reference, and the base with --base',
    });
  }
  const embedding = asFloats(await encodeReference(reference, adapter));
  const folded = foldCondition(adapter.tensors, recipe.options, embedding);
  const embeddingHash = createHash('sha256').update(bytesOf(embedding.data)).digest('hex');
  return {
    tensors: form === 'fused' ? fuseAdapters(folded, recipe.options) : folded,
    recipe: {
      ...recipe,
      folded: {
        form: form === 'fused' ? 'fused' : 'separate',
        reference: { embeddingHash, image: basename(reference) },
      },
    },
  };
}

/**
 * Folded biases hold what W_cond gave: they stay f32, which costs next to nothing. Matrices take the dtype
 * asked for; 'keep' means that of the source.
 */
function withFloatBiases(
  tensors: ReadonlyMap<string, HostTensor>,
  dtype: AdapterDType,
  source: AdapterFile,
  out: string,
): Map<string, HostTensor> {
  const matrix = [...source.tensors].find(([name]) => name.endsWith('down_linear.weight'))![1];
  const narrow = matrix.dtype === 'bf16' || matrix.dtype === 'f16' ? matrix.dtype : 'f32';
  const target = dtype === 'keep' ? narrow : dtype;
  return new Map(
    [...tensors].map(([name, tensor]) => [
      name,
      storedTensor(tensor, name.endsWith('.bias') ? 'f32' : target, `${out}: tensor ${name}`),
    ]),
  );
}

function requireFree(out: string, overwrite: boolean): void {
  if (overwrite || !existsSync(out)) return;
  throw new ExportError({
    where: out,
    expected: 'a new file',
    got: 'one that is there',
    hint: 'choose another name, or replace it with --overwrite',
  });
}

function requireLoadableByRelease(adapter: AdapterFile, { options }: AdapterRecipe, request: ExportRequest) {
  const { shape, path } = adapter;
  if (request.fold !== 'none' || shape.form === 'fused' || shape.conditionDim === 0) {
    throw new ExportError({
      where: path,
      expected: 'adapters with their condition, which the official release needs',
      got: 'folded ones',
      hint: 'folded adapters are for dualreal: export them as safetensors',
    });
  }
  const { official } = DUALREAL_PRESETS;
  const different = FIXED_IN_RELEASE.filter((name) => options[name] !== official[name]);
  if (different.length > 0) {
    throw new ExportError({
      where: path,
      expected: `options as the official release has them: ${different.map((name) => `${name} ${official[name]}`).join(', ')}`,
      got: different.map((name) => `${name} ${options[name]}`).join(', '),
      hint: 'the release would load these adapters and compute something else; it runs the preset official',
    });
  }
}

function sizeOfAll(tensors: ReadonlyMap<string, HostTensor>): number {
  let total = 0;
  for (const { data } of tensors.values()) total += data.byteLength;
  return total;
}
