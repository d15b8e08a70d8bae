// npm run check: everything that is not a slow test, two steps at a time, and a table at the end.
// `npm run check -- --without-tests` leaves the unit tests out, for runs that follow with npm test.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { ensureInstall, root } from './ensure-install.mjs';

ensureInstall();
const scratchFolder = mkdtempSync(join(tmpdir(), 'dualreal-check-'));

/** The longest first, so that the short ones fill the second core meanwhile. */
const steps = [
  { name: 'unit tests', command: ['vitest/vitest.mjs', 'run', '--project', 'unit'] },
  { name: 'types', command: ['typescript/bin/tsc', '--noEmit'] },
  {
    name: 'build',
    command: ['tsdown/dist/run.mjs', '--out-dir', scratchFolder, '--logLevel', 'warn'],
  },
  { name: 'import direction', command: ['tsx/dist/cli.mjs', 'scripts/import-direction.ts'] },
  { name: 'format and lint', command: ['@biomejs/biome/bin/biome', 'check', '--error-on-warnings'] },
  { name: 'package', command: ['publint/src/cli.js', '--strict'] },
  { name: 'unused code', command: ['knip/bin/knip.js', '--no-progress'], onlyReports: true },
];

const chosen = process.argv.includes('--without-tests')
  ? steps.filter(({ name }) => name !== 'unit tests')
  : steps;

const startedAt = performance.now();
const waiting = [...chosen];
try {
  await Promise.all([worker(), worker()]);
} finally {
  rmSync(scratchFolder, { recursive: true, force: true });
}

console.log(`\n${row('step', 'result', 'seconds')}\n${'-'.repeat(38)}`);
for (const { name, result, seconds } of chosen) console.log(row(name, result, seconds.toFixed(1)));
console.log(row('all', '', ((performance.now() - startedAt) / 1000).toFixed(1)));
process.exitCode = chosen.some(({ result }) => result === 'FAILED') ? 1 : 0;

async function worker() {
  for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) await runStep(step);
}

/** Keeps a step's output to itself, and shows it in one piece if there is something to say. */
async function runStep(step) {
  const began = performance.now();
  const [program, ...args] = step.command;
  const child = spawn(process.execPath, [join(root, 'node_modules', program), ...args], { cwd: root });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  }
  const [exitCode] = await once(child, 'close');
  step.seconds = (performance.now() - began) / 1000;
  step.result = exitCode === 0 ? 'ok' : step.onlyReports ? 'findings' : 'FAILED';
  if (exitCode !== 0) console.log(`\n── ${step.name} ──\n${output.trim()}`);
}

function row(step, result, seconds) {
  return `${step.padEnd(18)}  ${result.padEnd(9)}  ${seconds.padStart(7)}`;
}
