import { DualrealError } from '../tensor/errors.ts';

/** What the system says, in words a person can act on. */
const SYSTEM_ERRORS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  EROFS: 'the file system is read-only',
  ENOENT: 'no such file or folder',
  ENOTDIR: 'a part of the path is a file, not a folder',
  EISDIR: 'it is a folder, not a file',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is reached',
  EMFILE: 'too many open files',
  ENAMETOOLONG: 'the name is too long',
};

/**
 * An error for the terminal: its message where it was thrown on purpose or comes from the file system, else
 * with the stack, because it is a mistake of ours.
 */
export function describeError(error: unknown, verbose: boolean): string {
  if (!(error instanceof Error)) return String(error);
  if (!verbose) {
    if (error instanceof DualrealError) return error.message;
    const { code, path } = error as NodeJS.ErrnoException;
    const known = code === undefined ? undefined : SYSTEM_ERRORS[code];
    if (known !== undefined) return path ? `${path}: ${known} (${code})` : `${known} (${error.message})`;
  }
  return error.stack ?? error.message;
}
