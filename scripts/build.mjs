// Builds dist/ (npm run build), or only when a source is newer than what is there (ensureBuilt).
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { ensureInstall, root } from './ensure-install.mjs';

/** Written by every build, so its time is the time of the last one. */
const builtFile = join(root, 'dist/cli/main.js');

export async function build() {
  ensureInstall();
  const { build: bundle } = await import('tsdown');
  await bundle({ cwd: root, logLevel: 'warn' });
}

export async function ensureBuilt() {
  const sources = ['src', 'tsdown.config.ts', 'package-lock.json'].map((path) => join(root, path));
  const builtAt = modifiedAt(builtFile);
  if (builtAt > 0 && sources.every((source) => newest(source) <= builtAt)) return;
  // On stderr: what runs next may print a result.
  console.error(builtAt > 0 ? 'The sources changed: building again …' : 'Building …');
  await build();
}

/** The latest change below a path. A folder's own time counts: it moves when a file is deleted. */
function newest(path) {
  const entries = statSync(path).isDirectory() ? readdirSync(path) : [];
  return Math.max(modifiedAt(path), ...entries.map((entry) => newest(join(path, entry))));
}

function modifiedAt(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await build();
