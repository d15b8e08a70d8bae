import { DualrealError } from '../tensor/errors.ts';

/** The disk is full, or a quota is reached. What was saved before is untouched. */
export class StorageFullError extends DualrealError {}

const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** Runs a write and turns "no space left" into a {@link StorageFullError} that says how much was needed. */
export async function reportingFullDisk<T>(
  path: string,
  sizeBytes: number,
  write: () => Promise<T>,
): Promise<T> {
  try {
    return await write();
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (!code || !FULL.has(code)) throw cause;
    throw new StorageFullError({
      where: path,
      expected: `room for ${(sizeBytes / 2 ** 20).toFixed(1)} MiB`,
      got: message,
      hint: 'free some space and start again; what was saved before is untouched',
      cause,
    });
  }
}
