import { spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DualrealError, throwIfCancelled } from '../../tensor/errors.ts';
import { ART_PACKAGES, artManifest } from './packages.ts';

/** The art packages are missing, incomplete or of another version. */
export class ArtError extends DualrealError {}

export interface InstallProgress {
  readonly installed: number;
  readonly total: number;
  readonly message: string;
}

export interface InstallOptions {
  /** The folder of the art, outside git; default `.cache/toybox-art`. */
  readonly folder?: string;
  readonly onProgress?: (progress: InstallProgress) => void;
  readonly signal?: AbortSignal;
}

export const DEFAULT_ART_FOLDER = '.cache/toybox-art';

async function installedVersion(folder: string, name: string): Promise<string | undefined> {
  try {
    const text = await readFile(join(folder, 'node_modules', name, 'package.json'), 'utf8');
    const version = (JSON.parse(text) as { version?: unknown }).version;
    return typeof version === 'string' ? version : undefined;
  } catch {
    return undefined;
  }
}

/** The packages that are not there in the pinned version, as `name@version`. */
export async function missingArt(folder = DEFAULT_ART_FOLDER): Promise<string[]> {
  const missing: string[] = [];
  for (const art of ART_PACKAGES) {
    if ((await installedVersion(folder, art.name)) !== art.version)
      missing.push(`${art.name}@${art.version}`);
  }
  return missing;
}

/**
 * Installs the art packages (about 750 MB on disk) with npm into a cache folder; returns at once where they
 * are already there. No install script of a package is run.
 * @throws {ArtError} where npm cannot be started or fails; what it had said is in the message.
 */
export async function installArt(options: InstallOptions = {}): Promise<string> {
  const folder = options.folder ?? DEFAULT_ART_FOLDER;
  const total = ART_PACKAGES.length;
  const report = (missing: readonly string[], message: string) =>
    options.onProgress?.({ installed: total - missing.length, total, message });
  const missing = await missingArt(folder);
  if (missing.length === 0) {
    report(missing, 'the art is already installed');
    return folder;
  }
  throwIfCancelled(options.signal, 'installing the art');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'package.json'), artManifest());
  report(missing, `installing ${missing.join(', ')} into ${folder} (about 750 MB)`);
  await runNpm(folder, options.signal);
  const still = await missingArt(folder);
  if (still.length > 0) {
    throw new ArtError({ where: folder, expected: 'all art packages', got: `${still.join(', ')} missing` });
  }
  report([], 'the art is installed');
  return folder;
}

function runNpm(folder: string, signal: AbortSignal | undefined): Promise<void> {
  const words = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  return new Promise((resolve, reject) => {
    // npm is a script on Windows, where only a shell starts it.
    const child = spawn('npm', words, { cwd: folder, signal, shell: process.platform === 'win32' });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4000);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4000);
    });
    child.on('error', (cause) =>
      reject(new ArtError({ where: 'npm install', expected: 'npm to start', got: cause.message, cause })),
    );
    child.on('close', (code) => {
      if (code === 0) resolve();
      else {
        const hint = 'the art packages come from the npm registry; is it reachable?';
        reject(
          new ArtError({ where: `npm install in ${folder}`, expected: 'success', got: said.trim(), hint }),
        );
      }
    });
  });
}
