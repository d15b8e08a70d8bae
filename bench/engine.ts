/**
 * The engine against eager PyTorch: inference, one adapter step and one full step of a CogVideoX-like
 * transformer, each engine in a process of its own, in turns, minimum of the rounds. Built as the product is
 * before it runs. Prints a table, or with --json one line: adapterMs, inferMs, fullMs, adapterRssMb, … and the
 * same under `torch` where a PyTorch is found (DUALREAL_BENCH_PYTHON, /usr/bin/python3 or python3).
 *
 *   --rounds N          turns each engine gets (default 12)
 *   --jobs infer,full   only these
 *   --no-torch          without the comparison
 *   --size '{"heads":3}' other sizes than the standard ones (see engine-jobs.ts), as JSON
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'tsdown';
import { type Contestant, findPyTorch, startContestant } from './engine-contestant.ts';
import { JOBS, type Job, type Size, STANDARD_SIZE, writeInputs } from './engine-jobs.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { values: options } = parseArgs({
  args: process.argv.slice(3),
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '12' },
    jobs: { type: 'string', default: JOBS.join(',') },
    torch: { type: 'boolean', default: true },
    size: { type: 'string', default: '{}' },
  },
  allowNegative: true,
});
const size: Size = { ...STANDARD_SIZE, ...(JSON.parse(options.size) as Partial<Size>) };
const rounds = Number(options.rounds);
const wanted = JOBS.filter((job) => options.jobs.split(',').includes(job));

interface Figures {
  /** Fastest run. */
  ms: number;
  /** Peak resident memory of the whole process. */
  rssMb: number;
  /** The result of the first run: the loss, or the mean square of the output. */
  value: number;
}

/** Runs per turn: enough to get over a disturbance, few enough that the turns interleave. */
const RUNS: Readonly<Record<Job, number>> = { infer: 12, adapter: 5, full: 4 };

const scratch = mkdtempSync(join(tmpdir(), 'dualreal-bench-'));
try {
  await writeInputs(scratch, size);
  const python = options.torch ? findPyTorch() : undefined;
  const child = await buildChild();
  const ours: Partial<Record<Job, Figures>> = {};
  const torch: Partial<Record<Job, Figures>> = {};
  for (const job of wanted) {
    const contestants = [startContestant(process.execPath, [child, job, scratch, JSON.stringify(size)])];
    if (python) {
      const script = join(root, 'bench/torch_engine.py');
      contestants.push(
        startContestant(python.path, [script, job, scratch, JSON.stringify(size)], python.env),
      );
    }
    const [mine, theirs] = await compete(contestants, RUNS[job]);
    if (mine) ours[job] = mine;
    if (theirs) torch[job] = theirs;
  }
  report(ours, torch, python?.version);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

/** Turn by turn, so that a busy moment of the machine hits all alike. */
async function compete(contestants: readonly Contestant[], runs: number): Promise<(Figures | undefined)[]> {
  const figures: (Figures | undefined)[] = contestants.map(() => undefined);
  for (let round = 0; round < rounds; round++) {
    for (const [i, contestant] of contestants.entries()) {
      const { times, values, peakMb } = await contestant.run(runs);
      const fastest = Math.min(...times, figures[i]?.ms ?? Number.POSITIVE_INFINITY);
      figures[i] = { ms: fastest, rssMb: peakMb, value: figures[i]?.value ?? values[0] };
    }
  }
  for (const contestant of contestants) contestant.stop();
  return figures;
}

/** The child program and the engine's worker as plain JavaScript, as the product runs them. */
async function buildChild(): Promise<string> {
  const outDir = join(root, '.cache/bench');
  await build({
    config: false,
    cwd: root,
    entry: ['bench/engine-child.ts', 'src/runtime/engine-worker.ts'],
    root: '.',
    outDir,
    unbundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    fixedExtension: false,
    dts: false,
    logLevel: 'error',
  });
  return join(outDir, 'bench/engine-child.js');
}

function report(
  ours: Partial<Record<Job, Figures>>,
  torch: Partial<Record<Job, Figures>>,
  version: string | undefined,
): void {
  const round = (value: number | undefined) => (value === undefined ? undefined : Number(value.toFixed(1)));
  const ratio = (job: Job) => {
    const [mine, theirs] = [ours[job]?.ms, torch[job]?.ms];
    return mine && theirs ? Number((theirs / mine).toFixed(2)) : undefined;
  };
  const flat = (figures: Partial<Record<Job, Figures>>) => ({
    adapterMs: round(figures.adapter?.ms),
    inferMs: round(figures.infer?.ms),
    fullMs: round(figures.full?.ms),
    adapterRssMb: figures.adapter?.rssMb,
    inferRssMb: figures.infer?.rssMb,
    fullRssMb: figures.full?.rssMb,
  });
  if (options.json) {
    const record = {
      bench: 'engine',
      ...flat(ours),
      ...(version && {
        torch: { version, ...flat(torch) },
        timesFaster: { adapter: ratio('adapter'), infer: ratio('infer'), full: ratio('full') },
        values: Object.fromEntries(wanted.map((job) => [job, [ours[job]?.value, torch[job]?.value]])),
      }),
      size,
      rounds,
      machine: { cpu: cpus()[0]?.model, threads: availableParallelism(), node: process.version },
    };
    console.log(JSON.stringify(record));
    return;
  }
  const cell = (figures: Figures | undefined) =>
    figures
      ? `${figures.ms.toFixed(1).padStart(8)} ms ${String(figures.rssMb).padStart(5)} MB`
      : ''.padStart(20);
  console.log(
    `${'job'.padEnd(10)}${'dualreal'.padStart(20)}${`PyTorch ${version ?? '(none)'}`.padStart(22)}  times`,
  );
  for (const job of wanted) {
    console.log(`${job.padEnd(10)}${cell(ours[job])}  ${cell(torch[job])}  ${ratio(job) ?? ''}`);
  }
}
