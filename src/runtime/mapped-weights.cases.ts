// A program of its own, so that its memory is its own: runs 16 layers whose weights lie in one file of 512 MiB
// and prints how much memory that took. Usage: mapped-weights.cases.ts <folder> <dtype>
import { closeSync, ftruncateSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as g from '../graph/index.ts';
import { DTYPE_SIZE_BYTES } from '../tensor/dtype.ts';
import { zeros } from '../tensor/host-tensor.ts';
import { createRuntime } from './runtime.ts';
import type { FileRegion } from './weight-table.ts';

const LAYERS = 16;
const FILE_BYTES = 2 ** 29;

const [folder, dtype] = process.argv.slice(2) as [string, 'f16' | 'bf16' | 'f32'];
const rows = 2048;
const columns = FILE_BYTES / LAYERS / DTYPE_SIZE_BYTES[dtype] / rows;
const byteLength = FILE_BYTES / LAYERS;

function memoryField(field: string): number {
  const line = readFileSync('/proc/self/status', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${field}:`));
  return 1024 * Number(/\d+/.exec(line!)![0]);
}

// A file of zeros without blocks on the disk; mapping it takes memory all the same.
const file = join(folder, 'weights');
const handle = openSync(file, 'w');
ftruncateSync(handle, FILE_BYTES + 1);
closeSync(handle);

const weights = new Map<string, FileRegion>();
let x = g.input('x', [1, columns]);
for (let i = 0; i < LAYERS; i++) {
  const shape = [rows, columns];
  weights.set(`w${i}`, { file, dtype, shape, byteOffset: 1 + i * byteLength, byteLength });
  const y = g.linear(x, g.weight(`w${i}`, shape)); // [1, rows]
  x = rows < columns ? g.pad(y, 1, 0, columns - rows) : g.slice(y, 1, 0, columns);
}
const runtime = createRuntime({ inline: true, threads: 1 });
const [ownBefore, mappedBefore] = [memoryField('RssAnon'), memoryField('RssFile')];
const executable = await runtime.compile(g.program('mapped', { y: x }), { weights, residence: 'mapped' });
await executable.run({ x: zeros('f32', [1, columns]) });
await executable.run({ x: zeros('f32', [1, columns]) });
const ownBytes = memoryField('RssAnon') - ownBefore;
const mappedBytes = memoryField('RssFile') - mappedBefore;
console.log(JSON.stringify({ fileBytes: FILE_BYTES, ownBytes, mappedBytes }));
await executable.release();
