import { existsSync, type Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dualRealMethod } from '../methods/dualreal/method.ts';
import type { Method } from '../methods/index.ts';
import {
  type AdapterFile,
  optionsOfShape,
  readAdapterFile,
  requireAdapterFitsBase,
} from '../store/adapter-file.ts';
import { readLoraFile } from '../store/lora-file.ts';
import { type MethodFile, readMethodFile, requireMethodFits } from '../store/method-file.ts';
import { type RunFolder, readRun } from '../store/run-folder.ts';
import { kindOfTrainedFile } from '../store/trained-file.ts';
import { DualrealError } from '../tensor/errors.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import type { Base } from './base.ts';
import { loraModel } from './lora-model.ts';
import { phasesOf } from './train-plan.ts';
import { readRecord, resultFiles } from './training-result.ts';
import { shellWord } from './workflow.ts';

/** Nothing to work with: a path without a run or a file, a run that is not finished. */
export class TrainedModelError extends DualrealError {}

/** What changes a base when videos are made: the result of any method, from a run or from files. */
export interface TrainedModel {
  readonly files: readonly string[];
  readonly inference: Method['inference'];
  /** Whether a photo of the subject conditions it. */
  readonly usesReference: boolean;
  /** Whether the condition of one photo is part of it for good. */
  readonly folded: boolean;
  /** Where prompts must name the subject, and by which word. */
  readonly naming: Method['subjectWord'];
  readonly subjectWord?: string | undefined;
  /** As trained. */
  readonly size?: { readonly width: number; readonly height: number; readonly frames: number } | undefined;
  readonly baseName: string | null;
  /** Checks that it can run on a base; throws where it cannot. */
  fit(base: Base): Promise<FittedModel>;
}

export interface FittedModel {
  readonly method: Pick<Method, 'sampling'>;
  /** Beside the base's weights, or in their place. */
  readonly tensors: ReadonlyMap<string, HostTensor>;
  /** What a user should know. */
  readonly notices: readonly string[];
}

/** Opens a run folder, or one file of any of the formats. */
export async function openTrained(
  path: string,
): Promise<{ readonly run?: RunFolder; readonly trained: TrainedModel }> {
  const facts = await factsOf(path);
  if (!facts) {
    const expected = 'a run folder or an adapter file';
    throw new TrainedModelError({ where: path, expected, got: 'nothing there' });
  }
  if (!facts.isDirectory()) return { trained: await openFile(path) };
  const run = await readRun(path);
  const files = runFiles(run);
  if (files.length > 1)
    return { run, trained: loraModel(await Promise.all(files.map((file) => readLoraFile(file)))) };
  return { run, trained: await openFile(files[0]) };
}

/** The files of a finished run; refuses one that has none yet. */
export function runFiles(run: RunFolder): readonly string[] {
  const method = typeof run.request.method === 'string' ? run.request.method : 'dualreal';
  const files = resultFiles(method, run);
  const missing = files.filter((file) => !existsSync(file));
  if (missing.length === 0) return files;
  throw new TrainedModelError({
    where: run.path,
    expected: `a finished run with ${missing.map((file) => file.slice(run.path.length + 1)).join(' and ')}`,
    got: 'none yet',
    hint: `go on training with: dualreal train --resume ${shellWord(run.path)}`,
  });
}

async function openFile(path: string): Promise<TrainedModel> {
  switch (await kindOfTrainedFile(path)) {
    case 'lora':
      return loraModel([await readLoraFile(path)]);
    case 'method':
      return methodModel(await readMethodFile(path));
    case 'adapter':
      return adapterModel(await readAdapterFile(path));
  }
}

function adapterModel(adapter: AdapterFile): TrainedModel {
  const { path, recipe, shape, tensors } = adapter;
  const options = recipe?.options ?? optionsOfShape('official', shape);
  const folded = recipe?.folded !== undefined;
  const method = dualRealMethod({ options }, shape.form);
  return {
    files: [path],
    inference: method.inference,
    usesReference: !folded,
    folded,
    naming: undefined,
    size: recipe?.size ?? undefined,
    baseName: recipe?.base.name ?? null,
    fit: async (base) => {
      const hash = recipe?.base.hash ? await base.transformerWeights.hash() : undefined;
      return { method, tensors, notices: requireAdapterFitsBase(adapter, base.transformer, hash) };
    },
  };
}

function methodModel(file: MethodFile): TrainedModel {
  const { path, method, tensors, header } = file;
  const { subjectWord, size } = readRecord(header);
  return {
    files: [path],
    inference: method.inference,
    usesReference: phasesOf(method).some(({ condition }) => condition),
    folded: false,
    naming: method.subjectWord,
    subjectWord,
    size,
    baseName: header.base.name,
    fit: async (base) => {
      const hash = header.base.hash ? await base.transformerWeights.hash() : undefined;
      return { method, tensors, notices: requireMethodFits(file, base.transformer, hash) };
    },
  };
}

/** Undefined where there is nothing; a path that may not be looked at is an error of its own. */
async function factsOf(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}
