import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { writeJson } from './export.ts';

/** One file of the base. */
export interface ManifestFile {
  /** From the base's folder, with slashes. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** How a model came to be. */
export interface ManifestModel {
  readonly components: readonly string[];
  readonly variant: string;
  readonly seed: number;
  readonly step: number;
  readonly totalSteps: number;
  /** Computing time of the run. */
  readonly seconds: number;
}

export interface Manifest {
  readonly models: Readonly<Record<string, ManifestModel>>;
  readonly files: readonly ManifestFile[];
}

export const MANIFEST_NAME = 'manifest.json';

/** Reads the base's manifest; an empty one where there is none yet. */
export async function readManifest(weightsFolder: string): Promise<Manifest> {
  try {
    return JSON.parse(await readFile(join(weightsFolder, MANIFEST_NAME), 'utf8')) as Manifest;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
    return { models: {}, files: [] };
  }
}

/** Notes how a model came to be and lists all files of the base anew with their hashes. */
export async function updateManifest(
  weightsFolder: string,
  name: string,
  model: ManifestModel,
): Promise<Manifest> {
  const before = await readManifest(weightsFolder);
  const manifest = {
    models: { ...before.models, [name]: model },
    files: await listFiles(weightsFolder),
  };
  await writeJson(join(weightsFolder, MANIFEST_NAME), manifest);
  return manifest;
}

/** Every file below the folder but the manifest itself, by path. */
export async function listFiles(weightsFolder: string): Promise<ManifestFile[]> {
  const names = await readdir(weightsFolder, { recursive: true });
  const files: ManifestFile[] = [];
  for (const name of names.map((path) => path.replaceAll('\\', '/')).sort()) {
    const path = join(weightsFolder, name);
    if (name === MANIFEST_NAME || name.includes('.dualreal-') || !(await stat(path)).isFile()) continue;
    const bytes = await readFile(path);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    files.push({ path: name, sizeBytes: bytes.byteLength, sha256 });
  }
  return files;
}
