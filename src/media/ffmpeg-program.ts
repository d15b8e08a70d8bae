import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { MediaError } from './errors.ts';

/** A way to start ffmpeg: the system's program, or the WebAssembly build in a Node child process. */
export interface FfmpegProgram {
  readonly kind: 'native' | 'wasm';
  readonly command: string;
  /** Arguments that come before ffmpeg's own. */
  readonly leadingArguments: readonly string[];
  /** As the program prints it, e.g. `5.1.9-0+deb12u1` or `N-109542-g2b2b5a1`. */
  readonly version: string;
  /** The option that keeps every decoded frame exactly once; it was renamed in ffmpeg 5.1. */
  readonly frameSyncOption: '-fps_mode' | '-vsync';
}

const INSTALL_HINT =
  'install ffmpeg, set DUALREAL_FFMPEG to its path, or install the optional package @ffmpeg/core (npm install @ffmpeg/core@0.12.10)';
const VERSION_TIMEOUT_MS = 10_000;

const found = new Map<string, Promise<FfmpegProgram>>();

/**
 * Finds ffmpeg once per process and setting: the environment's DUALREAL_FFMPEG (a path, or `wasm`), then
 * `ffmpeg` on the PATH, then the WebAssembly build. A DUALREAL_FFMPEG that does not work is an error,
 * never a reason to use another one.
 */
export function findFfmpeg(environment: NodeJS.ProcessEnv = process.env): Promise<FfmpegProgram> {
  const setting = environment.DUALREAL_FFMPEG ?? '';
  const key = `${setting}\0${environment.PATH ?? ''}`;
  let program = found.get(key);
  if (!program) {
    program = setting === '' ? searchPath(environment) : fromSetting(setting, environment);
    found.set(key, program);
    // A failed search may be repaired while the process lives (a package gets installed): try again then.
    program.catch(() => found.delete(key));
  }
  return program;
}

async function searchPath(environment: NodeJS.ProcessEnv): Promise<FfmpegProgram> {
  const version = await askVersion('ffmpeg', environment);
  return version === undefined ? wasmProgram() : nativeProgram('ffmpeg', version);
}

async function fromSetting(setting: string, environment: NodeJS.ProcessEnv): Promise<FfmpegProgram> {
  if (setting === 'wasm') return wasmProgram();
  const version = await askVersion(setting, environment);
  if (version !== undefined) return nativeProgram(setting, version);
  throw new MediaError({
    where: `DUALREAL_FFMPEG=${setting}`,
    expected: 'the path of an ffmpeg program, or the word wasm',
    got: existsSync(setting) ? 'a file that does not answer to -version as ffmpeg does' : 'no such program',
    hint: 'unset DUALREAL_FFMPEG to use the ffmpeg on the PATH',
  });
}

function nativeProgram(command: string, version: string): FfmpegProgram {
  const release = /^n?(\d+)\.(\d+)/.exec(version);
  const before51 = release !== null && Number(release[1]) * 100 + Number(release[2]) < 501;
  return {
    kind: 'native',
    command,
    leadingArguments: [],
    version,
    frameSyncOption: before51 ? '-vsync' : '-fps_mode',
  };
}

function wasmProgram(): FfmpegProgram {
  const require = createRequire(import.meta.url);
  let corePath: string;
  let wasmPath: string;
  try {
    corePath = require.resolve('@ffmpeg/core');
    wasmPath = require.resolve('@ffmpeg/core/wasm');
  } catch (cause) {
    throw new MediaError({
      where: 'video decoding',
      expected: 'an ffmpeg program',
      got: 'none on the PATH, and no package @ffmpeg/core',
      hint: INSTALL_HINT,
      cause,
    });
  }
  return {
    kind: 'wasm',
    command: process.execPath,
    leadingArguments: [fileURLToPath(new URL('./wasm-ffmpeg.mjs', import.meta.url)), corePath, wasmPath],
    version: '5.1.4-wasm',
    frameSyncOption: '-fps_mode',
  };
}

/** The version word of `command -version`, or undefined where it cannot be started or is no ffmpeg. */
function askVersion(command: string, environment: NodeJS.ProcessEnv): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn(command, ['-version'], {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: environment,
      timeout: VERSION_TIMEOUT_MS,
      killSignal: 'SIGKILL',
      windowsHide: true,
    });
    let text = '';
    child.stdout.setEncoding('utf8');
    child.stdout.on('data', (chunk: string) => {
      text = (text + chunk).slice(0, 4096);
    });
    child.on('error', () => resolve(undefined));
    child.on('close', () => resolve(/^ffmpeg version (\S+)/.exec(text)?.[1]));
  });
}
