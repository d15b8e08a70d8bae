// npm run demo: from a fresh clone to the demo in one command.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import process from 'node:process';
import { ensureBuilt } from './build.mjs';
import { ensureInstall, root } from './ensure-install.mjs';

ensureInstall();
await ensureBuilt();
// Ctrl-C goes to both processes; this one waits until the other has saved.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => {});
const main = join(root, 'dist/cli/main.js');
const { status } = spawnSync(process.execPath, [main, 'demo', ...process.argv.slice(2)], {
  stdio: 'inherit',
});
process.exit(status ?? 1);
