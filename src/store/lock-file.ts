import { randomUUID } from 'node:crypto';
import { open, readFile, stat, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { DualrealError } from '../tensor/errors.ts';

/** Another process holds the lock. */
export class LockedError extends DualrealError {}

export interface FileLock {
  /** Set where the lock of a process that no longer runs was taken over. */
  readonly notice: string | undefined;
  release(): Promise<void>;
}

interface Holder {
  readonly pid: number;
  /** Boot and start time of the process, where the system tells: a pid alone is used again. */
  readonly processStart: string | null;
  readonly host: string;
  readonly takenAt: string;
  readonly id: string;
}

/** `text` is what the file holds; `holder` is undefined where that is no complete record. */
interface LockState {
  readonly text: string;
  readonly ageMs: number;
  readonly holder: Holder | undefined;
}

const RETRY_MS = 50;
const ATTEMPTS = 100;
/** A lock file that is still incomplete after this time was left by a crash between two system calls. */
const INCOMPLETE_MS = 2000;

/**
 * Takes an exclusive lock: a file that names the process holding it. A lock whose process has ended is
 * taken over with a notice; one held by another process, or on another machine, is a {@link LockedError}.
 * `what` names the locked thing in messages.
 */
export async function acquireLock(path: string, what: string): Promise<FileLock> {
  const text = await ownRecord();
  let notice: string | undefined;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (await createWith(path, text)) return { notice, release: () => removeIf(path, text) };
    const state = await readState(path);
    if (!state) continue;
    if (await isHeld(state)) throw lockedError(path, what, state);
    if (state.holder || state.ageMs > INCOMPLETE_MS) {
      if (await removeStale(path, state)) {
        const by = state.holder ? `process ${state.holder.pid}` : 'a process';
        notice = `${what}: took over the lock of ${by}, which ended without releasing it`;
      }
    } else await setTimeout(RETRY_MS);
  }
  throw new LockedError({
    where: what,
    expected: 'to get its lock',
    got: `${ATTEMPTS} failed attempts`,
    hint: `if nothing else is running, delete ${path}`,
  });
}

/** Whether another process holds the lock now. */
export async function isLocked(path: string): Promise<boolean> {
  const state = await readState(path);
  return state !== undefined && (await isHeld(state));
}

/** Removing a stale lock needs a lock of its own: otherwise two could each remove the other's fresh one. */
async function removeStale(path: string, seen: LockState): Promise<boolean> {
  const guard = `${path}.takeover`;
  if (!(await createWith(guard, await ownRecord()))) {
    const other = await readState(guard);
    if (other && other.ageMs > INCOMPLETE_MS && !(await isHeld(other))) await removeIf(guard, other.text);
    await setTimeout(RETRY_MS);
    return false;
  }
  try {
    const now = await readState(path);
    if (now?.text !== seen.text) return false;
    await unlink(path);
    return true;
  } finally {
    await unlink(guard);
  }
}

async function ownRecord(): Promise<string> {
  const holder: Holder = {
    pid: process.pid,
    processStart: (await processStart(process.pid)) ?? null,
    host: hostname(),
    takenAt: new Date().toISOString(),
    id: randomUUID(),
  };
  return `${JSON.stringify(holder)}\n`;
}

async function createWith(path: string, text: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx');
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function removeIf(path: string, text: string): Promise<void> {
  if ((await readState(path))?.text === text) await unlink(path);
}

async function readState(path: string): Promise<LockState | undefined> {
  try {
    const [text, { mtimeMs }] = await Promise.all([readFile(path, 'utf8'), stat(path)]);
    return { text, ageMs: Date.now() - mtimeMs, holder: parseHolder(text) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function parseHolder(text: string): Holder | undefined {
  if (!text.endsWith('\n')) return undefined;
  try {
    const value = JSON.parse(text) as Partial<Holder>;
    const complete = Number.isSafeInteger(value.pid) && value.pid! > 0 && typeof value.host === 'string';
    return complete ? (value as Holder) : undefined;
  } catch {
    return undefined;
  }
}

async function isHeld({ holder }: LockState): Promise<boolean> {
  if (!holder) return false;
  // Whether a process on another machine still runs cannot be known from here.
  if (holder.host !== hostname()) return true;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const start = await processStart(holder.pid);
  return start === undefined || holder.processStart === null || start === holder.processStart;
}

/** Boot id and start time in clock ticks (proc(5), field 22); undefined where there is no /proc. */
async function processStart(pid: number): Promise<string | undefined> {
  try {
    const [boot, facts] = await Promise.all([
      readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
      readFile(`/proc/${pid}/stat`, 'utf8'),
    ]);
    // The second field, the program's name in brackets, may hold spaces.
    const ticks = facts.slice(facts.lastIndexOf(')') + 2).split(' ')[19];
    return `${boot.trim()}:${ticks}`;
  } catch {
    return undefined;
  }
}

function lockedError(path: string, what: string, { holder }: LockState): LockedError {
  const { pid, host, takenAt } = holder!;
  const elsewhere = host !== hostname();
  return new LockedError({
    where: what,
    expected: 'to be free',
    got: `in use by process ${pid}${elsewhere ? ` on ${host}` : ''} since ${takenAt}`,
    hint: elsewhere
      ? `wait for it or stop it there; if it no longer runs, delete ${path}`
      : 'wait until it has finished, or stop it',
  });
}
