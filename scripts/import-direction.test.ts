import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { checkFile, checkFolder, maximumLines } from './import-direction.ts';

const messages = (file: string, text: string) => checkFile(file, text).map(({ message }) => message);

test('a room may import itself and earlier rooms', () => {
  const text = "import { a } from './a.ts';\nimport { b } from '../tensor/b.ts';\nimport { z } from 'zod';\n";
  expect(messages('graph/ops/add.ts', text.replace('../tensor', '../../tensor'))).toEqual([]);
  expect(messages('graph/value.ts', text)).toEqual([]);
});

test.each([
  ['import', "import { a } from '../runtime/a.ts';"],
  ['import over several lines', "import {\n  a,\n  b,\n} from '../runtime/a.ts';"],
  ['type import', "import type { A } from '../runtime/a.ts';"],
  ['side effect', "import '../runtime/a.ts';"],
  ['re-export', "export * from '../runtime/a.ts';"],
  ['dynamic import', "const a = await import('../runtime/a.ts');"],
  ['type query', "type A = import('../runtime/a.ts').A;"],
  ['program by URL', "spawn(fileURLToPath(new URL('../runtime/a.mjs', import.meta.url)));"],
  ['worker by URL', "new Worker(new URL('../runtime/a.ts', import.meta.url));"],
])('an import of a later room is caught: %s', (_, text) => {
  expect(messages('graph/value.ts', text)).toEqual(['graph/ imports runtime/, which comes later']);
});

test.each(['graph/gradient.test.ts', 'graph/peak-memory.cases.ts'])('%s may run what it proves', (file) => {
  expect(messages(file, "import { a } from '../runtime/a.ts';")).toEqual([]);
  expect(messages(file, "import { a } from '../../bench/a.ts';")).toHaveLength(1);
});

test('the position of a violation is its line', () => {
  const text = "import { a } from './a.ts';\n\nimport { b } from '../cli/b.ts';\n";
  expect(checkFile('store/index.ts', text)).toEqual([
    { file: 'store/index.ts', line: 3, message: 'store/ imports cli/, which comes later' },
  ]);
});

test('text that only looks like an import is left alone', () => {
  expect(
    messages('graph/value.ts', "// import '../cli/a.ts'\nconst s = \"import '../cli/a.ts'\";\n"),
  ).toEqual([]);
});

test('nothing in src/ imports from outside, except tests from test/', () => {
  const text = "import { golden } from '../../test/parity/golden.ts';";
  expect(messages('nn/linear.ts', text)).toEqual(["'../../test/parity/golden.ts' lies outside src/"]);
  expect(messages('nn/linear.test.ts', text)).toEqual([]);
});

test('a door above the rooms sees every room, and no room sees it', () => {
  expect(messages('index.ts', "export * from './cli/main.ts';")).toEqual([]);
  expect(messages('cli/main.ts', "import '../index.ts';")).toEqual(["'../index.ts' is above the rooms"]);
});

test('only media and the installer of the art start other programs', () => {
  const text = "import { spawn } from 'node:child_process';";
  expect(messages('media/ffmpeg.ts', text)).toEqual([]);
  expect(messages('toybox/art/install.ts', text)).toEqual([]);
  expect(messages('store/lock.test.ts', text)).toEqual([]);
  expect(messages('store/lock.ts', text)).toEqual([
    'only media/ and toybox/art/install.ts may start other programs',
  ]);
});

test('a folder that is no room and a file that is too long are caught', () => {
  expect(messages('utils/a.ts', '')).toHaveLength(1);
  expect(messages('nn/a.ts', '\n'.repeat(maximumLines - 1).concat('export {};\n'))).toEqual([]);
  expect(messages('nn/a.ts', '\n'.repeat(maximumLines).concat('export {};\n'))).toHaveLength(1);
});

test('a folder is walked to the bottom', () => {
  const folder = mkdtempSync(join(tmpdir(), 'import-direction-'));
  try {
    mkdirSync(join(folder, 'models/clip'), { recursive: true });
    writeFileSync(join(folder, 'models/clip/model.ts'), "import '../../methods/lora.ts';\n");
    writeFileSync(join(folder, 'models/notes.md'), "import '../methods/lora.ts'\n");
    expect(checkFolder(folder)).toEqual([
      { file: 'models/clip/model.ts', line: 1, message: 'models/ imports methods/, which comes later' },
    ]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
