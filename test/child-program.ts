import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** A program in a process of its own, for tests that kill it. */
export interface ChildProgram {
  readonly process: ChildProcessByStdio<Writable, Readable, Readable>;
  /** The next line it prints; rejects with what it wrote to standard error where it ends before. */
  line(): Promise<string>;
  /** Kills it with SIGKILL and waits for its end. */
  kill(): Promise<void>;
  /** Waits for its end: the exit code. */
  ended(): Promise<number | null>;
}

/**
 * Compiles a TypeScript program and all that it imports from this repository into `folder`, as plain
 * JavaScript, so that starting it many times takes milliseconds each. `source` is the program's text, with
 * imports relative to the repository's root (`./src/…`). Returns the path to run.
 */
export async function compileProgram(source: string, folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'package.json'), '{"type":"module"}');
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const entry = join(ROOT, 'program.ts');
  const done = new Set<string>();
  const waiting: [string, string][] = [[entry, source]];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const [path, text] = next;
    const { outputText } = ts.transpileModule(text, {
      compilerOptions: {
        module: ts.ModuleKind.ESNext,
        target: ts.ScriptTarget.ES2023,
        verbatimModuleSyntax: true,
        rewriteRelativeImportExtensions: true,
      },
    });
    const target = join(folder, relative(ROOT, path)).replace(/\.ts$/, '.js');
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, outputText);
    for (const [, specifier] of outputText.matchAll(/from ['"](\.{1,2}\/[^'"]+)\.js['"]/g)) {
      const imported = resolve(dirname(path), `${specifier}.ts`);
      if (done.has(imported)) continue;
      done.add(imported);
      waiting.push([imported, await readFile(imported, 'utf8')]);
    }
  }
  return join(folder, 'program.js');
}

export function startProgram(path: string, ...args: readonly string[]): ChildProgram {
  const process = spawn(globalThis.process.execPath, [path, ...args], { stdio: 'pipe' });
  let errors = '';
  process.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const exit = once(process, 'close').then(([code]) => code as number | null);
  const lines = createInterface({ input: process.stdout })[Symbol.asyncIterator]();
  return {
    process,
    line: async () => {
      const { value, done } = await lines.next();
      if (done) throw new Error(`the program ended: ${errors || 'without a message'}`);
      return value;
    },
    kill: async () => {
      process.kill('SIGKILL');
      await exit;
    },
    ended: () => exit,
  };
}
