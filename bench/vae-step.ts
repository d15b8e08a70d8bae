/**
 * A training step of a narrow CogVideoX VAE (forward, backward, AdamW) in this project's engine and in eager
 * PyTorch, interleaved in one run; prints one JSON line with the fastest of each, the ratio, and the losses.
 * `npx tsx bench/vae-step.ts [rounds] [size as JSON]`; PYTHON names an interpreter with torch (python3-torch).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createRuntime } from '../src/runtime/index.ts';
import { floats, type HostTensor } from '../src/tensor/host-tensor.ts';
import { randomStream } from '../src/tensor/random.ts';
import { readSafetensorsFile, writeSafetensorsFile } from '../src/tensor/safetensors.ts';
import { sizeOf } from '../src/tensor/shape.ts';
import {
  KL_WEIGHT,
  LEARNING_RATE,
  OPTIMIZER,
  shapesOf,
  TOYBOX_VAE,
  traceVaeJob,
  type VaeJobSize,
} from './vae-job.ts';

interface Run {
  readonly ms: number;
  readonly cpuMs: number;
  readonly loss: number;
  readonly gradientNorm: number;
}

const THREADS = Number(process.env.THREADS ?? 2);

if (process.argv[2] === '--child') await child(process.argv[3], JSON.parse(process.argv[4]) as VaeJobSize);
else await parent(Number(process.argv[2] ?? 5), JSON.parse(process.argv[3] ?? '{}') as Partial<VaeJobSize>);

/** One engine in a process of its own, through the product's path (worker thread, trainer). */
async function child(folder: string, size: VaeJobSize): Promise<void> {
  const { program, trainable } = traceVaeJob(size);
  const inputs = Object.fromEntries(await readSafetensorsFile(join(folder, 'batch.safetensors')));
  const runtime = createRuntime({ threads: THREADS });
  const trainer = await runtime.createTrainer({
    tensors: [...trainable].map(([name, shape]) => ({ name, shape, group: 'vae' })),
    optimizer: OPTIMIZER,
  });
  await trainer.load({ parameters: await readSafetensorsFile(join(folder, 'weights.safetensors')) });
  const executable = await runtime.compile(program, { trainer });
  process.stdout.write(`${JSON.stringify({ ready: true })}\n`);
  for await (const line of createInterface({ input: process.stdin })) {
    const runs: Run[] = [];
    for (let i = 0; i < Number(line); i++) {
      const start = performance.now();
      const cpu = process.cpuUsage();
      const request = { microBatches: [inputs], learningRate: LEARNING_RATE };
      const { outputs, gradientNorm } = await executable.trainStep(request);
      const { user, system } = process.cpuUsage(cpu);
      const loss = Number(outputs[0].loss.data[0]);
      runs.push({ ms: performance.now() - start, cpuMs: (user + system) / 1e3, loss, gradientNorm });
    }
    const peak = /^VmHWM:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'));
    process.stdout.write(`${JSON.stringify({ runs, peakMb: (Number(peak?.[1] ?? 0) * 1024) / 1e6 })}\n`);
  }
}

async function parent(rounds: number, changes: Partial<VaeJobSize>): Promise<void> {
  const size = { ...TOYBOX_VAE, ...changes };
  const folder = mkdtempSync(join(tmpdir(), 'dualreal-vae-step-'));
  const engines: ChildProcess[] = [];
  try {
    await writeJob(folder, size);
    const environment = { ...process.env, OMP_NUM_THREADS: `${THREADS}`, OMP_WAIT_POLICY: 'passive' };
    const script = join(import.meta.dirname, 'torch_vae_step.py');
    const settings = { optimizer: OPTIMIZER, learningRate: LEARNING_RATE, klWeight: KL_WEIGHT };
    const start = (command: string, args: readonly string[]) => {
      const engine = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], env: environment });
      engines.push(engine);
      const lines = createInterface({ input: engine.stdout! })[Symbol.asyncIterator]();
      return async (request?: string) => {
        if (request !== undefined) engine.stdin!.write(`${request}\n`);
        const { value, done } = await lines.next();
        if (done) throw new Error(`${command} ended`);
        return JSON.parse(value) as { runs: Run[]; peakMb: number };
      };
    };
    const ask = {
      ours: start(process.execPath, [
        ...process.execArgv,
        process.argv[1],
        '--child',
        folder,
        JSON.stringify(size),
      ]),
      torch: start(process.env.PYTHON ?? '/usr/bin/python3', [
        script,
        folder,
        JSON.stringify({ ...size, ...settings }),
      ]),
    };
    const runs: Record<'ours' | 'torch', Run[]> = { ours: [], torch: [] };
    const peakMb = { ours: 0, torch: 0 };
    for (const name of ['ours', 'torch'] as const) await ask[name]();
    for (let round = 0; round <= rounds; round++) {
      for (const name of ['ours', 'torch'] as const) {
        const answer = await ask[name]('1');
        runs[name].push(...answer.runs);
        peakMb[name] = Math.round(answer.peakMb);
      }
    }
    const fastest = (name: 'ours' | 'torch', field: 'ms' | 'cpuMs') =>
      Math.round(Math.min(...runs[name].slice(1).map((run) => run[field])));
    const summary = (name: 'ours' | 'torch') => ({
      ms: fastest(name, 'ms'),
      cpuMs: fastest(name, 'cpuMs'),
      peakMb: peakMb[name],
      losses: runs[name].slice(0, 4).map(({ loss }) => Number(loss.toPrecision(7))),
      gradientNorms: runs[name].slice(0, 4).map(({ gradientNorm }) => Number(gradientNorm.toPrecision(7))),
    });
    const [ours, torch] = [summary('ours'), summary('torch')];
    const ratio = (field: 'ms' | 'cpuMs') => Number((torch[field] / ours[field]).toFixed(2));
    const record = { bench: 'vae-step', threads: THREADS, size, ours, torch };
    console.log(JSON.stringify({ ...record, timesFaster: ratio('ms'), timesFasterCpu: ratio('cpuMs') }));
  } finally {
    for (const engine of engines) engine.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Weights at PyTorch's default scale, a smooth moving video, noise. */
async function writeJob(folder: string, size: VaeJobSize): Promise<void> {
  const { trainable } = traceVaeJob(size);
  const weights = new Map<string, HostTensor>();
  for (const [name, shape] of trainable) {
    const norm = shape.length === 1 && name.endsWith('.weight');
    const scale = 1 / Math.sqrt(Math.max(1, sizeOf(shape.slice(1))));
    const values = randomStream(1, name).normals(sizeOf(shape));
    weights.set(name, floats(shape, norm ? values.map((v) => 1 + 0.1 * v) : values.map((v) => v * scale)));
  }
  const { video, noise } = shapesOf(size);
  const [, frames, channels, height, width] = video;
  const pixels = Float32Array.from({ length: sizeOf(video) }, (_, i) => {
    const [x, y] = [i % width, Math.floor(i / width) % height];
    const f = Math.floor(i / (width * height * channels)) % frames;
    const b = Math.floor(i / (width * height * channels * frames));
    return Math.sin((x + 2 * f) / (5 + b)) * Math.cos(y / 7);
  });
  const batch = new Map([
    ['video', floats(video, pixels)],
    ['noise', floats(noise, randomStream(1, 'noise').normals(sizeOf(noise)))],
  ]);
  await writeSafetensorsFile(join(folder, 'weights.safetensors'), weights);
  await writeSafetensorsFile(join(folder, 'batch.safetensors'), batch);
}
