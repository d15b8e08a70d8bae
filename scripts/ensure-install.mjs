// Brings node_modules to what package-lock.json says, so that a fresh clone needs no install command.
// Plain JavaScript without dependencies: it runs before there are any.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** Returns a sentence that says why the project cannot run here, or undefined. */
export function whyUnsupported({ version, platform, architecture, musl }) {
  const [major, minor] = version.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    return `Node ${version} is too old: the build and the tests need Node 20.19 or newer (https://nodejs.org).`;
  }
  const machine = `${platform}-${architecture}`;
  if (machine === 'darwin-x64') {
    return 'onnxruntime-node 1.30.0, which does the arithmetic, has no build for Intel Macs: use an Apple-silicon Mac, Linux or Windows.';
  }
  const supported = ['linux-x64', 'linux-arm64', 'darwin-arm64', 'win32-x64', 'win32-arm64'];
  if (!supported.includes(machine)) {
    return `onnxruntime-node 1.30.0, which does the arithmetic, has no build for ${machine}, only for ${supported.join(', ')}.`;
  }
  if (musl) {
    return 'onnxruntime-node 1.30.0, which does the arithmetic, needs glibc: use Debian, Ubuntu or Fedora instead of Alpine (musl).';
  }
  return undefined;
}

/**
 * Compares the lock file with the record npm leaves in node_modules when an install has finished.
 * Packages for other platforms are optional and may be absent; what is there must have the locked version.
 */
export function isInstalled(lock, installed) {
  return Object.entries(lock.packages).every(([path, wanted]) => {
    if (path === '') return true;
    const found = installed.packages[path];
    return found === undefined ? Boolean(wanted.optional || wanted.peer) : found.version === wanted.version;
  });
}

export function ensureInstall() {
  const why = whyUnsupported({
    version: process.versions.node,
    platform: process.platform,
    architecture: process.arch,
    musl: process.platform === 'linux' && !process.report.getReport().header.glibcVersionRuntime,
  });
  if (why !== undefined) fail(why);

  const lock = readJson('package-lock.json');
  if (lock === undefined) fail('package-lock.json is missing or unreadable: restore it with git.');
  const installed = readJson('node_modules/.package-lock.json');
  if (installed !== undefined && isInstalled(lock, installed)) return;

  console.log(
    `${installed === undefined ? 'No finished install found' : 'node_modules differs from package-lock.json'}: running npm ci …`,
  );
  // No dependency needs its install script; onnxruntime-node's would fetch CUDA files from elsewhere.
  if (npm(['ci', '--ignore-scripts']) !== 0) {
    fail(
      'npm ci failed (see above). It needs the npm registry only; fix the cause and run the command again.',
    );
  }
}

/** Runs the npm that started us, so that `npx npm@10 test` installs with npm 10. */
function npm(args) {
  const startedBy = process.env.npm_execpath ?? '';
  const options = { cwd: root, stdio: 'inherit' };
  const result =
    basename(startedBy) === 'npm-cli.js'
      ? spawnSync(process.execPath, [startedBy, ...args], options)
      : spawnSync(`npm ${args.join(' ')}`, { ...options, shell: true });
  return result.status ?? 1;
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(`${root}/${path}`, 'utf8'));
  } catch {
    return undefined;
  }
}

function fail(message) {
  console.error(`dualreal: ${message}`);
  process.exit(1);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) ensureInstall();
