// npm test: installs if needed, runs every vitest project (or what the arguments select) and ends with
// one plain line that continuous integration reads: "12 passed, 0 failed" or "12 passed, 0 failed, 1 skipped".
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import process from 'node:process';
import { ensureInstall, root } from './ensure-install.mjs';

ensureInstall();

const userArguments = process.argv.slice(2);
const reporters = [`--reporter=${join(root, 'scripts/count-reporter.mjs')}`];
if (!userArguments.some((argument) => argument.startsWith('--reporter')))
  reporters.push('--reporter=default');

const vitest = spawn(
  process.execPath,
  [join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...reporters, ...userArguments],
  { cwd: root, stdio: ['inherit', 'inherit', 'inherit', 'ipc'] },
);
let numbers;
vitest.on('message', (message) => {
  numbers = message;
});
const [exitCode, signal] = await once(vitest, 'close');

if (numbers === undefined) {
  console.error(`dualreal: vitest ended without a result (${signal ?? `exit code ${exitCode}`}).`);
  numbers = { passed: 0, failed: 1, skipped: 0 };
}
const { passed, failed, skipped } = numbers;
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exitCode = failed > 0 ? 1 : (exitCode ?? 1);
