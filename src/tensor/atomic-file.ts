import { createHash, randomBytes } from 'node:crypto';
import { type FileHandle, lstat, open, readdir, rename, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';

/** What a file is written from: text (UTF-8), bytes, or pieces of bytes in order. */
export type FileContents = string | Uint8Array | Iterable<Uint8Array>;

const HOST = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
const TEMPORARY = /^\.dualreal-([0-9a-f]{8})-(\d+)-[0-9a-f]{16}\.tmp$/;
const STALE_AGE_MS = 24 * 3600 * 1000;
// Linux writes at most 2^31 − 4096 bytes per call.
const WRITE_PIECE_BYTES = 1 << 28;

/**
 * Writes a whole file or nothing: a temporary name in the same folder, fsync, rename, fsync of the folder.
 * After a crash at any point `path` holds either its old contents or all of the new ones. A symbolic link
 * at `path` is replaced, not followed. Where writing fails the temporary file is removed.
 */
export async function writeFileAtomic(path: string, contents: FileContents): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.dualreal-${HOST}-${process.pid}-${randomBytes(8).toString('hex')}.tmp`);
  const file = await open(temporary, 'wx');
  try {
    try {
      for (const piece of piecesOf(contents)) await writeFully(file, piece);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
  await syncFolder(folder);
}

/**
 * Removes what {@link writeFileAtomic} left in `folder` when its process was killed: temporaries of
 * processes of this machine that no longer run, and any that is older than a day. Returns their names.
 */
export async function removeStaleTemporaries(folder: string): Promise<string[]> {
  const removed: string[] = [];
  for (const name of await readdir(folder)) {
    const match = TEMPORARY.exec(name);
    if (!match) continue;
    const path = join(folder, name);
    const ended = match[1] === HOST && !isRunning(Number(match[2]));
    if (!ended && !(await isOlderThanADay(path))) continue;
    await unlink(path).catch(ignoreMissing);
    removed.push(basename(path));
  }
  return removed.sort();
}

function* piecesOf(contents: FileContents): Iterable<Uint8Array> {
  if (typeof contents === 'string') yield new TextEncoder().encode(contents);
  else if (contents instanceof Uint8Array) yield contents;
  else yield* contents;
}

async function writeFully(file: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    const length = Math.min(WRITE_PIECE_BYTES, bytes.byteLength - done);
    done += (await file.write(bytes, done, length)).bytesWritten;
  }
}

async function syncFolder(folder: string): Promise<void> {
  // Windows cannot open a folder for fsync; its rename is already ordered with the data.
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function isRunning(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function isOlderThanADay(path: string): Promise<boolean> {
  try {
    return Date.now() - (await lstat(path)).mtimeMs > STALE_AGE_MS;
  } catch (error) {
    ignoreMissing(error);
    return false;
  }
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}
