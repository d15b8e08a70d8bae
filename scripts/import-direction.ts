// The house rules a compiler does not know: imports point one way, only named files start processes, files stay small.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path/posix';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** In import order: a file imports only from its own room and from rooms before it. */
export const rooms = [
  'tensor',
  'graph',
  'runtime',
  'nn',
  'models',
  'diffusion',
  'methods',
  'media',
  'store',
  'toybox',
  'evaluation',
  'workflows',
  'benchmark',
  'jobs',
  'studio',
  'cli',
];

/** Files and folders that may start other programs: ffmpeg, and npm for the development-only art. Tests may, too. */
export const processStarters = ['media/', 'toybox/art/install.ts'];

export const maximumLines = 400;

export interface Violation {
  file: string;
  line: number;
  message: string;
}

/** Checks one file; `file` is its path below src/, with forward slashes. */
export function checkFile(file: string, text: string): Violation[] {
  const violations: Violation[] = [];
  const room = roomOf(file);
  if (file.includes('/') && !rooms.includes(room)) {
    violations.push({
      file,
      line: 1,
      message: `${room}/ is not a room: add it to scripts/import-direction.ts`,
    });
  }
  const lineCount = text.trimEnd().split('\n').length;
  if (lineCount > maximumLines) {
    violations.push({ file, line: maximumLines + 1, message: `${lineCount} lines, at most ${maximumLines}` });
  }
  for (const { specifier, position } of importsOf(text)) {
    const message = whyForbidden(file, specifier);
    if (message !== undefined) {
      violations.push({ file, line: text.slice(0, position).split('\n').length, message });
    }
  }
  return violations;
}

/** Tests, and cases that tests share or start, stand beside what they prove but may run it with later rooms. */
const TEST = /\.(test|cases)\.ts$/;

function whyForbidden(file: string, specifier: string): string | undefined {
  const isTest = TEST.test(file);
  if (/^(node:)?child_process$/.test(specifier)) {
    const mayStart = isTest || processStarters.some((prefix) => file.startsWith(prefix));
    return mayStart ? undefined : `only ${processStarters.join(' and ')} may start other programs`;
  }
  if (!specifier.startsWith('.')) return undefined;
  const target = normalize(join(dirname(file), specifier));
  if (target.startsWith('../')) {
    return isTest && target.startsWith('../test/') ? undefined : `'${specifier}' lies outside src/`;
  }
  // A file directly in src/ is the package's own door: it sees every room, and no room sees it.
  if (!file.includes('/')) return undefined;
  if (!target.includes('/')) return `'${specifier}' is above the rooms`;
  if (isTest) return undefined;
  const [from, to] = [roomOf(file), roomOf(target)];
  return rooms.indexOf(to) > rooms.indexOf(from) ? `${from}/ imports ${to}/, which comes later` : undefined;
}

/** Static, type-only and dynamic imports, re-exports, and files named by `new URL('…', import.meta.url)`. */
function importsOf(text: string): { specifier: string; position: number }[] {
  const imports = ts
    .preProcessFile(text, true, true)
    .importedFiles.map(({ fileName, pos }) => ({ specifier: fileName, position: pos }));
  const files = [...text.matchAll(/new URL\(\s*['"`]([^'"`]+)['"`]\s*,\s*import\.meta\.url/g)]
    .filter((match) => /\.m?[jt]s$/.test(match[1]!))
    .map((match) => ({ specifier: match[1]!, position: match.index }));
  return [...imports, ...files];
}

function roomOf(path: string): string {
  return path.split('/', 1)[0]!;
}

export function checkFolder(folder: string): Violation[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => /\.(ts|mjs|svelte)$/.test(path))
    .sort()
    .flatMap((path) => checkFile(path, readFileSync(join(folder, path), 'utf8')));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const violations = checkFolder(fileURLToPath(new URL('../src', import.meta.url)));
  for (const { file, line, message } of violations) console.log(`src/${file}:${line}  ${message}`);
  process.exitCode = violations.length > 0 ? 1 : 0;
}
