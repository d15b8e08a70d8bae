import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import process from 'node:process';
import { createInterface } from 'node:readline';

export interface Turn {
  readonly times: readonly number[];
  readonly values: readonly number[];
  readonly peakMb: number;
}

/** A child process that runs a job as often as it is told. */
export interface Contestant {
  run(count: number): Promise<Turn>;
  stop(): void;
}

/** Starts a child that speaks the protocol of engine-child.ts: a number per line in, JSON per line out. */
export function startContestant(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Contestant {
  const child: ChildProcess = spawn(command, args, {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const answer = async (): Promise<unknown> => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${command} ${args[0]} ended early`);
    return JSON.parse(value as string);
  };
  const ready = answer();
  return {
    run: async (count) => {
      await ready;
      child.stdin!.write(`${count}\n`);
      return (await answer()) as Turn;
    },
    stop: () => child.stdin!.end(),
  };
}

/** A Python with PyTorch, and the settings under which it was fastest. */
export function findPyTorch():
  | { readonly path: string; readonly version: string; readonly env: Readonly<Record<string, string>> }
  | undefined {
  const threads = String(availableParallelism());
  const env = { OMP_NUM_THREADS: threads, OPENBLAS_NUM_THREADS: threads, OMP_WAIT_POLICY: 'passive' };
  for (const path of [process.env.DUALREAL_BENCH_PYTHON, '/usr/bin/python3', 'python3']) {
    if (!path) continue;
    const probe = spawnSync(path, ['-c', 'import numpy, torch; print(torch.__version__)'], {
      encoding: 'utf8',
    });
    if (probe.status === 0) return { path, version: probe.stdout.trim(), env };
  }
  return undefined;
}
