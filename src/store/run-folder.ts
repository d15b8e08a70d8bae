import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { removeStaleTemporaries, writeFileAtomic } from '../tensor/atomic-file.ts';
import { DualrealError, FileFormatError } from '../tensor/errors.ts';
import { parseStrictJson } from '../tensor/strict-json.ts';
import { acquireLock, type FileLock, isLocked } from './lock-file.ts';
import { canonicalJson, encodeJson, type JsonObject } from './plain-json.ts';
import { requireSafeName } from './safe-name.ts';

/** A folder that cannot be used as a run folder. Nothing in it was changed. */
export class RunFolderError extends DualrealError {}

/** Where everything of one run lies. Layout: docs/formats.md. */
export interface RunFolder {
  /** Absolute. */
  readonly path: string;
  /** What was asked for, as parsed at the door. */
  readonly request: JsonObject;
  /** Versions of this program and of what it runs on. */
  readonly versions: Readonly<Record<string, string>>;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly eventsFile: string;
  readonly checkpointsFolder: string;
  readonly adapterFile: string;
  readonly samplesFolder: string;
  readonly outputsFolder: string;
}

/** A run folder that this process alone writes to until it is closed. */
export interface OpenRun extends RunFolder {
  /** What was found and repaired on opening. */
  readonly notices: readonly string[];
  close(): Promise<void>;
}

const REQUEST_FILE = 'request.json';
const LOCK_FILE = 'run.lock';
const FOLDERS = ['checkpoints', 'samples', 'outputs'] as const;

const recordSchema = z.strictObject({
  version: z.literal(1),
  createdAt: z.iso.datetime(),
  versions: z.record(z.string(), z.string()),
  request: z.record(z.string(), z.unknown()),
});

/**
 * Creates a run folder and opens it. A folder that holds anything is refused, so that no run ever
 * overwrites another.
 */
export async function createRun(
  path: string,
  request: object,
  versions: Readonly<Record<string, string>>,
): Promise<OpenRun> {
  const record = { version: 1, createdAt: new Date().toISOString(), versions, request };
  // Encoded first: a request that is no plain JSON must not leave a folder behind.
  const text = `${encodeJson(record, 'request')}\n`;
  const folder = resolve(path);
  await requireUnused(folder);
  await mkdir(folder, { recursive: true });
  return withLock(folder, async (lock) => {
    await requireUnused(folder);
    await writeFileAtomic(join(folder, REQUEST_FILE), text);
    return openLocked(folder, lock);
  });
}

/** Opens an existing run folder to go on with it. */
export async function openRun(path: string): Promise<OpenRun> {
  const folder = resolve(path);
  await readRecord(folder);
  return withLock(folder, (lock) => openLocked(folder, lock));
}

/** Reads about a run that another process may be writing to. */
export async function readRun(path: string): Promise<RunFolder> {
  const folder = resolve(path);
  const { request, versions, createdAt } = await readRecord(folder);
  return {
    path: folder,
    request,
    versions,
    createdAt,
    eventsFile: join(folder, 'events.jsonl'),
    checkpointsFolder: join(folder, 'checkpoints'),
    adapterFile: join(folder, 'adapter.safetensors'),
    samplesFolder: join(folder, 'samples'),
    outputsFolder: join(folder, 'outputs'),
  };
}

/** Whether some process has the run open now. */
export function isRunOpen(path: string): Promise<boolean> {
  return isLocked(join(resolve(path), LOCK_FILE));
}

/** Throws unless the requests are equal as JSON, naming every field that differs; for `--resume`. */
export function requireSameRequest(run: RunFolder, request: object): void {
  const now = JSON.parse(encodeJson(request, 'request')) as JsonObject;
  const same = (key: string) =>
    canonicalJson(run.request[key] ?? null, key) === canonicalJson(now[key] ?? null, key);
  const different = [...new Set([...Object.keys(run.request), ...Object.keys(now)])].filter(
    (key) => !same(key),
  );
  if (different.length === 0) return;
  const shown = (from: JsonObject) =>
    different.map((key) => `${key} ${encodeJson(from[key] ?? null, key)}`).join(', ');
  throw new RunFolderError({
    where: run.path,
    expected: `the request it was started with: ${shown(run.request)}`,
    got: shown(now),
    hint: 'resume without these options, or start another run',
  });
}

/** Creates `outputs/<id>/` for one result; the id comes from outside and is checked. */
export async function createOutput(run: RunFolder, id: string): Promise<string> {
  const folder = outputFolder(run, id);
  await mkdir(run.outputsFolder, { recursive: true });
  try {
    await mkdir(folder);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    throw new RunFolderError({ where: folder, expected: 'a new output', got: 'one of that id', cause });
  }
  return folder;
}

/** Path of an output; the id is checked, whether it exists is not. */
export function outputFolder(run: RunFolder, id: string): string {
  return join(run.outputsFolder, requireSafeName(id, 'output id'));
}

async function withLock(folder: string, open: (lock: FileLock) => Promise<OpenRun>): Promise<OpenRun> {
  const lock = await acquireLock(join(folder, LOCK_FILE), `run ${folder}`);
  try {
    return await open(lock);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function openLocked(folder: string, lock: FileLock): Promise<OpenRun> {
  const run = await readRun(folder);
  for (const name of FOLDERS) await mkdir(join(folder, name), { recursive: true });
  // What a killed process was writing when it ended; the files themselves are whole.
  const left = [
    ...(await removeStaleTemporaries(folder)),
    ...(await removeStaleTemporaries(run.checkpointsFolder)),
  ];
  const notices = [
    ...(lock.notice ? [lock.notice] : []),
    ...(left.length > 0 ? [`${folder}: removed ${left.length} half-written temporary files`] : []),
  ];
  return { ...run, notices, close: () => lock.release() };
}

/** Only what an unfinished creation leaves may be there. */
async function requireUnused(folder: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') return;
    if (code !== 'ENOTDIR') throw cause;
    throw new RunFolderError({ where: folder, expected: 'a new folder', got: 'a file of that name', cause });
  }
  const found = names.filter((name) => !name.startsWith(LOCK_FILE) && !name.startsWith('.dualreal-'));
  if (found.length === 0) return;
  const isRun = found.includes(REQUEST_FILE);
  throw new RunFolderError({
    where: folder,
    expected: 'a new or empty folder',
    got: isRun ? 'a run' : `a folder with ${found.length} entries (${found.slice(0, 3).join(', ')})`,
    hint: isRun ? 'go on with it with --resume, or choose another folder' : 'choose another folder',
  });
}

async function readRecord(folder: string): Promise<{
  request: JsonObject;
  versions: Readonly<Record<string, string>>;
  createdAt: string;
}> {
  const path = join(folder, REQUEST_FILE);
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw cause;
    throw new RunFolderError({
      where: folder,
      expected: `a run folder, with ${REQUEST_FILE}`,
      got: 'none',
      cause,
    });
  }
  const parsed = recordSchema.safeParse(parseStrictJson(bytes, path));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new FileFormatError({
      where: path,
      expected: 'the record of a run, version 1',
      got: `${issue.path.join('.') || 'it'}: ${issue.message}`,
    });
  }
  return { ...parsed.data, request: parsed.data.request as JsonObject };
}
