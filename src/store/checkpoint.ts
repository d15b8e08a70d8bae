import { lstat, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { DualrealError, FileFormatError } from '../tensor/errors.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import { objectEntries, parseStrictJson } from '../tensor/strict-json.ts';
import { encodeJson, type JsonObject } from './plain-json.ts';
import type { RunFolder } from './run-folder.ts';
import { readSealedFile, writeSealedFile } from './sealed-file.ts';

/** Everything that the rest of a training run depends on. */
export interface TrainingState {
  /** Steps done. */
  readonly step: number;
  /** Parameters under their names, and `optimizer/<name>.exp_avg` and so on. */
  readonly tensors: ReadonlyMap<string, HostTensor>;
  /** Loss history and counters. */
  readonly progress: JsonObject;
}

export interface Checkpoint extends TrainingState {
  readonly path: string;
}

export interface CheckpointFile {
  readonly step: number;
  readonly path: string;
  readonly sizeBytes: number;
  readonly savedAt: Date;
}

export interface LatestCheckpoint {
  /** Absent where there is no usable one. */
  readonly checkpoint: Checkpoint | undefined;
  /** Damaged files that were passed over. */
  readonly notices: readonly string[];
}

type CheckpointsOf = Pick<RunFolder, 'checkpointsFolder'>;

const FORMAT = 'dualreal-checkpoint-1';
const FILE_NAME = /^step-(\d{8,15})\.safetensors$/;
const LARGEST_STEP = 999_999_999_999_999;

/**
 * Saves a checkpoint as one file, whole or not at all, and removes all but the newest `keep` up to this
 * step. The one just saved is on the disk, fsynced, before any other is removed.
 */
export async function saveCheckpoint(
  { checkpointsFolder }: CheckpointsOf,
  { step, tensors, progress }: TrainingState,
  options: { readonly keep?: number } = {},
): Promise<CheckpointFile> {
  const { keep = 2 } = options;
  requireCount('checkpoint step', step, 0, LARGEST_STEP);
  requireCount('checkpoints to keep', keep, 1, Number.MAX_SAFE_INTEGER);
  const path = join(checkpointsFolder, `step-${String(step).padStart(8, '0')}.safetensors`);
  const metadata = { format: FORMAT, step: String(step), progress: encodeJson(progress, 'progress') };
  await writeSealedFile(path, tensors, metadata);
  // Files of later steps stay: they are damaged ones that this run will write again.
  const upToNow = (await listCheckpoints({ checkpointsFolder })).filter((file) => file.step <= step);
  for (const file of upToNow.slice(0, -keep)) await unlink(file.path);
  return upToNow.at(-1)!;
}

/** All checkpoint files by step, the newest last; their contents are not read. */
export async function listCheckpoints({ checkpointsFolder }: CheckpointsOf): Promise<CheckpointFile[]> {
  const files: CheckpointFile[] = [];
  for (const name of await readdir(checkpointsFolder)) {
    const match = FILE_NAME.exec(name);
    if (!match) continue;
    const path = join(checkpointsFolder, name);
    const facts = await lstat(path);
    if (facts.isFile()) {
      files.push({ step: Number(match[1]), path, sizeBytes: facts.size, savedAt: facts.mtime });
    }
  }
  return files.sort((a, b) => a.step - b.step);
}

/** The newest checkpoint that is whole. A damaged one is never used, and each is reported in a notice. */
export async function latestCheckpoint(run: CheckpointsOf): Promise<LatestCheckpoint> {
  const notices: string[] = [];
  for (const file of (await listCheckpoints(run)).reverse()) {
    try {
      return { checkpoint: await readCheckpoint(file), notices };
    } catch (error) {
      if (!isDamage(error)) throw error;
      notices.push(`checkpoint of step ${file.step} is damaged and was passed over: ${error.message}`);
    }
  }
  return { checkpoint: undefined, notices };
}

/** Reads one checkpoint; throws {@link FileFormatError} where any byte of it has changed. */
export async function readCheckpoint({
  path,
  step,
}: Pick<CheckpointFile, 'path' | 'step'>): Promise<Checkpoint> {
  const { tensors, metadata } = await readSealedFile(path);
  if (metadata.format !== FORMAT) {
    throw new FileFormatError({ where: path, expected: FORMAT, got: metadata.format ?? 'another format' });
  }
  if (metadata.step !== String(step)) {
    throw new FileFormatError({ where: path, expected: `step ${step}`, got: `step ${metadata.step}` });
  }
  const progress = parseStrictJson(new TextEncoder().encode(metadata.progress), `${path}: progress`);
  objectEntries(progress, `${path}: progress`);
  return { path, step, tensors, progress: progress as JsonObject };
}

/** Wrong bytes, or a disk that cannot read them; anything else (permissions, …) is not the file's fault. */
function isDamage(error: unknown): error is Error {
  return error instanceof FileFormatError || (error as NodeJS.ErrnoException).code === 'EIO';
}

function requireCount(where: string, value: number, least: number, most: number): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return;
  throw new DualrealError({
    where,
    expected: `a whole number from ${least} to ${most}`,
    got: String(value),
  });
}
