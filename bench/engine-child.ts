/**
 * One job of the engine bench in a process of its own, through the product's path (worker thread, trainer,
 * mapped weights). Each line on standard input is a number of runs; the answer is one line of JSON with
 * their times. `<job> <folder> <size as JSON>`.
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { createRuntime, type Tensors, type WeightTable } from '../src/runtime/index.ts';
import { readSafetensorsFile, readSafetensorsHeader } from '../src/tensor/safetensors.ts';
import {
  batchFile,
  type Job,
  LEARNING_RATE,
  OPTIMIZER,
  type Size,
  traceJob,
  weightsFile,
} from './engine-jobs.ts';

const [job, folder, size] = process.argv.slice(2);
const { program, trainable } = traceJob(job as Job, JSON.parse(size) as Size);

const header = await readSafetensorsHeader(weightsFile(folder));
const weights: WeightTable = new Map(
  [...header.entries].map(([name, entry]) => [name, { file: header.path, ...entry }]),
);
const batch = await readSafetensorsFile(batchFile(folder));
const inputs: Tensors = Object.fromEntries([...batch].filter(([name]) => program.inputs.has(name)));

const runtime = createRuntime();
const run = trainable.size === 0 ? await inference() : await training();

async function inference(): Promise<() => Promise<number>> {
  const executable = await runtime.compile(program, { weights });
  return async () => {
    const { output } = await executable.run(inputs);
    const values = output.data as Float32Array;
    return values.reduce((sum, value) => sum + value * value, 0) / values.length;
  };
}

async function training(): Promise<() => Promise<number>> {
  const trainer = await runtime.createTrainer({
    tensors: [...trainable].map(([name, shape]) => ({ name, shape, group: 'all' })),
    optimizer: OPTIMIZER,
  });
  const parameters = new Map([...trainable.keys()].map((name) => [name, weights.get(name)!] as const));
  await trainer.load({ parameters });
  const executable = await runtime.compile(program, { weights, trainer });
  return async () => {
    const { outputs } = await executable.trainStep({ microBatches: [inputs], learningRate: LEARNING_RATE });
    return Number(outputs[0].loss.data[0]);
  };
}

/** A "Vm…" or "Rss…" line of /proc/self/status, in MB; 0 where there is no such file. */
function memoryMb(field: string): number {
  try {
    const line = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'));
    return Math.round((Number(line?.[1] ?? 0) * 1024) / 1e6);
  } catch {
    return 0;
  }
}

const answer = (record: object) => process.stdout.write(`${JSON.stringify(record)}\n`);
answer({ ready: true, nodes: program.nodes.length });
for await (const line of createInterface({ input: process.stdin })) {
  const times: number[] = [];
  const values: number[] = [];
  for (let i = 0; i < Number(line); i++) {
    const start = performance.now();
    values.push(await run());
    times.push(performance.now() - start);
  }
  answer({ times, values, peakMb: memoryMb('VmHWM') });
}
await runtime.close();
