// A program of its own, so that its peak memory is its own: runs a transformer stack and prints how much
// memory the runs added. Usage: peak-memory.cases.ts <settings as JSON>
import { readFileSync } from 'node:fs';
import { createRuntime } from '../runtime/runtime.ts';
import { type StackSettings, transformerStack } from './transformer-stack.cases.ts';

const RUNS = 2;

/** A field of /proc/self/status, in bytes. */
function memoryField(field: string): number {
  const line = readFileSync('/proc/self/status', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${field}:`));
  return 1024 * Number(/\d+/.exec(line!)![0]);
}

const stack = transformerStack(JSON.parse(process.argv[2]) as StackSettings);
const runtime = createRuntime({ inline: true, threads: 1 });
const executable = await runtime.compile(stack.program, { weights: stack.weights });
const before = memoryField('VmRSS');
for (let run = 0; run < RUNS; run++) await executable.run(stack.feeds);
console.log(JSON.stringify({ addedBytes: memoryField('VmHWM') - before }));
await executable.release();
