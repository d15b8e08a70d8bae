import { createHash } from 'node:crypto';
import { type BigIntStats, createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { FileFormatError } from '../tensor/errors.ts';

const PIECE_BYTES = 1 << 20;
const known = new Map<string, { readonly identity: string; readonly hash: Promise<string> }>();

/**
 * SHA-256 of a file's contents in hexadecimal, read as a stream. Remembered within this process as long
 * as size and times of the file stay as they are.
 */
export async function hashFile(path: string): Promise<string> {
  const absolute = resolve(path);
  const identity = identityOf(await stat(absolute, { bigint: true }));
  const before = known.get(absolute);
  if (before?.identity === identity) return before.hash;
  const hash = hashContents(absolute, identity);
  known.set(absolute, { identity, hash });
  try {
    return await hash;
  } catch (error) {
    if (known.get(absolute)?.hash === hash) known.delete(absolute);
    throw error;
  }
}

async function hashContents(path: string, identity: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path, { highWaterMark: PIECE_BYTES })) {
    hash.update(piece as Buffer);
  }
  if (identityOf(await stat(path, { bigint: true })) !== identity) {
    throw new FileFormatError({
      where: path,
      expected: 'a file that stays as it is while it is read',
      got: 'a change',
    });
  }
  return hash.digest('hex');
}

function identityOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(':');
}
