import { type FileHandle, open } from 'node:fs/promises';
import { FileFormatError } from './errors.ts';

// Linux reads at most 2^31 − 4096 bytes per call.
const READ_PIECE_BYTES = 1 << 28;

/** Opens a file for reading, and closes it whatever happens. */
export async function withFile<T>(path: string, use: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(path, 'r');
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

/** Size of an ordinary file; a folder or a device is refused. */
export async function fileSizeOf(file: FileHandle, path: string): Promise<number> {
  const facts = await file.stat();
  if (!facts.isFile()) {
    throw new FileFormatError({ where: path, expected: 'a file', got: 'a folder or a device' });
  }
  return facts.size;
}

/** Fills `into` from byte `start` of the file; a file that ends before is a {@link FileFormatError}. */
export async function readFully(
  file: FileHandle,
  into: Uint8Array,
  start: number,
  where: string,
): Promise<void> {
  let done = 0;
  while (done < into.byteLength) {
    const length = Math.min(READ_PIECE_BYTES, into.byteLength - done);
    const { bytesRead } = await file.read(into, done, length, start + done);
    if (bytesRead === 0) {
      throw new FileFormatError({
        where,
        expected: `${into.byteLength} bytes at ${start}`,
        got: `the end of the file after ${done}`,
        hint: 'the file changed while it was read',
      });
    }
    done += bytesRead;
  }
}
