import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CancelledError, throwIfCancelled } from '../tensor/errors.ts';
import { limitsOf, MediaError, type MediaLimits, type MediaOptions } from './errors.ts';
import { type FfmpegProgram, findFfmpeg } from './ffmpeg-program.ts';

/** One run of ffmpeg. This file is the only place of the project that starts it. */
export interface FfmpegRun extends MediaOptions {
  /** The file (or result) that errors name. */
  readonly where: string;
  /** ffmpeg's arguments, without the general ones. Files are written `file:PATH`, streams `pipe:N`. */
  readonly arguments: (program: FfmpegProgram) => readonly string[];
  /** What `pipe:0` reads. */
  readonly input?: Iterable<Uint8Array>;
  /** Receives what ffmpeg writes to `pipe:1`. Throwing stops the run with that error. */
  readonly onOutput?: (chunk: Uint8Array) => void;
  /** Receives what ffmpeg writes to `pipe:3`: facts about the frames, as text. */
  readonly onFacts?: (chunk: Uint8Array) => void;
}

export interface FfmpegOutcome {
  /** What ffmpeg said at error level although it went on: damaged frames, for example. */
  readonly complaints: readonly string[];
}

const STDERR_TAIL_BYTES = 16_384;
const MAX_COMPLAINTS = 20;

/**
 * Input containers that may be opened. Play lists, image sequences and scripts, which name other files, are not
 * among them, nor are raw streams, which have no times.
 */
const INPUT_FORMATS = 'mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,ivf,yuv4mpegpipe';

/** The guards that stand before every `-i` of a file somebody else made. */
export function guardedInput(path: string, limits: MediaLimits): string[] {
  return [
    '-protocol_whitelist',
    'file,pipe',
    '-format_whitelist',
    INPUT_FORMATS,
    '-max_pixels',
    String(limits.maxPixels),
    '-i',
    `file:${path}`,
  ];
}

/**
 * Runs ffmpeg to its end. Throws {@link MediaError} with the tail of its error output where it fails or
 * exceeds the time, and {@link CancelledError} where the signal fires; the process is gone in either case.
 */
export async function runFfmpeg(run: FfmpegRun): Promise<FfmpegOutcome> {
  throwIfCancelled(run.signal, run.where);
  const limits = limitsOf(run);
  const program = await findFfmpeg();
  const child = start(program, run.arguments(program), limits);
  const stop = { reason: undefined as unknown };
  const stopWith = (reason: unknown) => {
    stop.reason ??= reason;
    child.kill('SIGKILL');
  };
  const timer = setTimeout(() => stopWith(tooSlow(run.where, limits)), limits.timeoutMs);
  const onAbort = () => stopWith(new CancelledError(run.where));
  run.signal?.addEventListener('abort', onAbort, { once: true });
  if (run.signal?.aborted) onAbort();
  try {
    const stderr = collectTail(child.stderr as Readable);
    forward(child.stdio[1] as Readable, run.onOutput, stopWith);
    forward(child.stdio[3] as Readable, run.onFacts, stopWith);
    const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
    const [[code, signal]] = await Promise.all([closed, feed(child.stdin as Writable, run.input ?? [])]);
    if (stop.reason !== undefined) throw stop.reason;
    const lines = meaningfulLines(stderr());
    if (code !== 0) throw failure(run.where, lines, signal);
    return { complaints: lines.slice(0, MAX_COMPLAINTS) };
  } catch (error) {
    child.kill('SIGKILL');
    throw stop.reason ?? startFailure(error, program);
  } finally {
    clearTimeout(timer);
    run.signal?.removeEventListener('abort', onAbort);
  }
}

function start(program: FfmpegProgram, given: readonly string[], limits: MediaLimits): ChildProcess {
  const general = ['-hide_banner', '-nostdin', '-loglevel', 'error', '-max_alloc', String(2 ** 30), '-y'];
  const own = [...program.leadingArguments, ...general, ...given];
  const limited = program.kind === 'native' && process.platform === 'linux' && existsSync('/bin/sh');
  const [command, all] = limited
    ? [
        '/bin/sh',
        [
          '-c',
          `ulimit -v ${Math.floor(limits.maxProcessBytes / 1024)} 2>/dev/null; exec "$0" "$@"`,
          program.command,
          ...own,
        ],
      ]
    : [program.command, own];
  // FFREPORT would make ffmpeg write a log file next to the user's data.
  const { FFREPORT: _report, ...environment } = process.env;
  return spawn(command, all, {
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    env: { ...environment, AV_LOG_FORCE_NOCOLOR: '1' },
    windowsHide: true,
  });
}

function collectTail(stream: Readable): () => string {
  let tail = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    tail = (tail + chunk).slice(-STDERR_TAIL_BYTES);
  });
  return () => tail;
}

function forward(
  stream: Readable,
  receive: ((chunk: Uint8Array) => void) | undefined,
  stopWith: (reason: unknown) => void,
): void {
  stream.on('error', stopWith);
  stream.on('data', (chunk: Uint8Array) => {
    try {
      receive?.(chunk);
    } catch (error) {
      stopWith(error);
    }
  });
}

async function feed(stream: Writable, input: Iterable<Uint8Array>): Promise<void> {
  try {
    await pipeline(Readable.from(input), stream);
  } catch (error) {
    // A closed pipe means that ffmpeg ended first; its exit status says why.
    if (!CLOSED_PIPE.has(String((error as NodeJS.ErrnoException).code))) throw error;
  }
}

const CLOSED_PIPE = new Set(['EPIPE', 'ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_DESTROYED']);

/** Lines worth showing: without addresses, repetitions, long lists and ffmpeg's own spelling of the file. */
function meaningfulLines(stderr: string): string[] {
  const lines = stderr
    .split('\n')
    .map((line) => line.replace(/^\[([\w:/,.\- ]+) @ 0x[0-9a-f]+\] /, '$1: ').trim())
    .map((line) =>
      line.replace(/(Format not on whitelist) '.*'/, '$1').replace(/^(file:\S*|\/file-\d+\S*): /, ''),
    )
    .filter((line) => line !== '' && !/^Last message repeated \d+ times$/.test(line));
  return [...new Set(lines)];
}

const REASONS: readonly (readonly [RegExp, string])[] = [
  [/moov atom not found/, 'no video index (moov atom): cut off, never finished, or not a video at all'],
  [/Format not on whitelist/, 'a format that is not a video file, or one that refers to other files'],
  [/matches no streams|does not contain any stream/, 'no video stream'],
  [
    /Picture size \d+x\d+ is invalid|exceeds specified max pixel count/,
    'a picture larger than the pixel limit',
  ],
  [/Cannot allocate memory/, 'a file that needs more memory than allowed'],
  [/Unknown encoder '(\w+)'/, 'an ffmpeg without the H.264 encoder libx264'],
  [/Invalid data found when processing input/, 'data that is not a readable video'],
];

/** A known reason in plain words, with the error output as cause; otherwise the tail of the error output itself. */
function failure(where: string, lines: readonly string[], signal: NodeJS.Signals | null): MediaError {
  const reason = REASONS.find(([pattern]) => pattern.test(lines.join('\n')))?.[1];
  const tail = lines.slice(-4).join(' | ');
  const said =
    tail === '' ? `ffmpeg ended ${signal ? `by ${signal}` : 'without a message'}` : `ffmpeg: ${tail}`;
  return new MediaError({
    where,
    expected: 'a video that ffmpeg can process',
    got: reason ?? said,
    cause: new Error(said),
    ...(reason?.includes('libx264') ? { hint: 'DUALREAL_FFMPEG=wasm uses a build that has it' } : {}),
  });
}

function tooSlow(where: string, limits: MediaLimits): MediaError {
  return new MediaError({
    where,
    expected: `ffmpeg to finish within ${limits.timeoutMs / 1000} s`,
    got: 'a run that took longer and was stopped',
    hint: 'cut the clip shorter or scale it down first',
  });
}

function startFailure(error: unknown, program: FfmpegProgram): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (error instanceof MediaError || (code !== 'ENOENT' && code !== 'EACCES')) return error;
  return new MediaError({
    where: program.command,
    expected: 'a program that can be started',
    got: String(code),
    cause: error,
  });
}
