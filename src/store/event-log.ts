import { type FileHandle, open } from 'node:fs/promises';
import { FileFormatError } from '../tensor/errors.ts';
import { fileSizeOf, readFully, withFile } from '../tensor/file-range.ts';
import { objectEntries, parseStrictJson } from '../tensor/strict-json.ts';
import { encodeJson, type JsonObject } from './plain-json.ts';
import { reportingFullDisk } from './storage-error.ts';

/** Appends to an `events.jsonl`: one JSON object a line. One writer at a time (the run's lock sees to it). */
export interface EventLog {
  readonly path: string;
  /** Set where the last line, cut off by a crash, was removed on opening. */
  readonly notice: string | undefined;
  /**
   * Resolves when the line has been handed to the operating system, so that it outlives this process.
   * Lines keep the order of the calls. NaN and whatever else JSON would change is refused.
   */
  append(event: object): Promise<void>;
  /** Resolves when everything appended is on the disk, so that it outlives a power cut. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface EventLogReading {
  readonly events: readonly JsonObject[];
  /** Where the next reading goes on: after the last complete line. */
  readonly nextByte: number;
  /** Set where the last line is incomplete: a crash cut it off, or it is being written just now. */
  readonly notice: string | undefined;
}

const NEWLINE = 0x0a;
const PIECE_BYTES = 1 << 16;

/** Opens a log to append to, creating it where there is none. A torn last line is removed, with a notice. */
export async function openEventLog(path: string): Promise<EventLog> {
  const file = await open(path, 'a+');
  try {
    const size = await fileSizeOf(file, path);
    const end = await endOfLastLine(file, size, path);
    if (end < size) await file.truncate(end);
    return new AppendingLog(path, file, end, tornNotice(path, size - end, 'was removed'));
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * Reads the complete lines from `fromByte` on (0, or the `nextByte` of a reading before, to follow a log
 * that grows). An incomplete last line is left out and reported; any other damage is a
 * {@link FileFormatError} that names the line. A log that does not exist has no events.
 */
export async function readEventLog(
  path: string,
  options: { readonly fromByte?: number } = {},
): Promise<EventLogReading> {
  const { fromByte = 0 } = options;
  const bytes = await readFrom(path, fromByte);
  const end = bytes.lastIndexOf(NEWLINE) + 1;
  const events: JsonObject[] = [];
  let start = 0;
  while (start < end) {
    const stop = bytes.indexOf(NEWLINE, start);
    const place =
      fromByte === 0 ? `line ${events.length + 1}` : `line ${events.length + 1} after byte ${fromByte}`;
    events.push(parseLine(bytes.subarray(start, stop), `${path}, ${place}`));
    start = stop + 1;
  }
  return {
    events,
    nextByte: fromByte + end,
    notice: tornNotice(path, bytes.byteLength - end, 'is left out'),
  };
}

class AppendingLog implements EventLog {
  readonly path: string;
  readonly notice: string | undefined;
  private readonly file: FileHandle;
  private end: number;
  private last: Promise<void> = Promise.resolve();

  constructor(path: string, file: FileHandle, end: number, notice: string | undefined) {
    this.path = path;
    this.file = file;
    this.end = end;
    this.notice = notice;
  }

  async append(event: object): Promise<void> {
    const line = new TextEncoder().encode(`${encodeJson(event, 'event')}\n`);
    return this.inOrder(() => this.write(line));
  }

  sync(): Promise<void> {
    return this.inOrder(() => this.file.sync());
  }

  async close(): Promise<void> {
    await this.sync();
    await this.file.close();
  }

  private async write(line: Uint8Array): Promise<void> {
    try {
      await reportingFullDisk(this.path, line.byteLength, () => this.file.appendFile(line));
      this.end += line.byteLength;
    } catch (error) {
      // Part of the line may be there: without it the next one starts on a line of its own.
      await this.file.truncate(this.end);
      throw error;
    }
  }

  /** A failed write does not stop later ones. */
  private inOrder(work: () => Promise<void>): Promise<void> {
    const result = this.last.then(work);
    this.last = result.catch(() => undefined);
    return result;
  }
}

/** The position after the last newline. */
async function endOfLastLine(file: FileHandle, size: number, path: string): Promise<number> {
  const piece = new Uint8Array(PIECE_BYTES);
  for (let stop = size; stop > 0; ) {
    const start = Math.max(0, stop - PIECE_BYTES);
    const part = piece.subarray(0, stop - start);
    await readFully(file, part, start, path);
    const found = part.lastIndexOf(NEWLINE);
    if (found >= 0) return start + found + 1;
    stop = start;
  }
  return 0;
}

async function readFrom(path: string, fromByte: number): Promise<Uint8Array> {
  try {
    return await withFile(path, async (file) => {
      const size = await fileSizeOf(file, path);
      if (size < fromByte) {
        const expected = `at least the ${fromByte} bytes read before`;
        throw new FileFormatError({ where: path, expected, got: `${size}` });
      }
      const bytes = new Uint8Array(size - fromByte);
      await readFully(file, bytes, fromByte, path);
      return bytes;
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || fromByte > 0) throw error;
    return new Uint8Array(0);
  }
}

function parseLine(bytes: Uint8Array, where: string): JsonObject {
  const value = parseStrictJson(bytes, where);
  objectEntries(value, where);
  return value as JsonObject;
}

function tornNotice(path: string, sizeBytes: number, fate: string): string | undefined {
  if (sizeBytes === 0) return undefined;
  return `${path}: the last line was cut off after ${sizeBytes} bytes and ${fate}`;
}
