import { open } from 'node:fs/promises';
import { FileFormatError } from '../tensor/errors.ts';

const MAX_TEXT_BYTES = 1 << 20;

/** The lines of a list file; surrounding blanks and empty lines do not count, as in the official loader. */
export async function readLines(path: string): Promise<string[]> {
  const text = await readText(path);
  return text
    .split(/\r\n|\r|\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

/** The caption in a text file next to a photo or clip: its words on one line. */
export async function readCaption(path: string): Promise<string> {
  const caption = (await readText(path)).trim().replace(/\s+/g, ' ');
  if (caption !== '') return caption;
  throw new FileFormatError({
    where: path,
    expected: 'a caption',
    got: 'an empty file',
    hint: 'write the caption into it, or delete it',
  });
}

async function readText(path: string): Promise<string> {
  const refuse = (got: string, cause?: unknown) =>
    new FileFormatError({ where: path, expected: 'a UTF-8 text of at most 1 MiB', got, cause });
  const file = await open(path, 'r').catch((cause: NodeJS.ErrnoException) => {
    throw refuse(`an unreadable file (${cause.code})`, cause);
  });
  try {
    const facts = await file.stat();
    if (!facts.isFile()) throw refuse('something that is not a plain file');
    if (facts.size > MAX_TEXT_BYTES) throw refuse(`${facts.size} bytes`);
    const bytes = await file.readFile();
    try {
      // The decoder drops a byte order mark, which editors on Windows write.
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    } catch (cause) {
      throw refuse('bytes that are not UTF-8', cause);
    }
  } finally {
    await file.close();
  }
}
