import { existsSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type EventLog, openEventLog } from '../store/event-log.ts';
import { FeatureCache } from '../store/feature-cache.ts';
import { acquireLock } from '../store/lock-file.ts';
import { CancelledError, DualrealError, throwIfCancelled } from '../tensor/errors.ts';
import { shellWord, type WorkflowContext, type WorkflowEvent } from '../workflows/workflow.ts';
import { BenchmarkError } from './benchmark-error.ts';
import { MotionJudging } from './motion-judging.ts';
import { needsJudging } from './motion-results.ts';
import { type BenchCase, type BenchPlan, PLAN_FILE, readPlan, writePlan } from './plan.ts';
import { type BenchReport, writeBenchReport } from './report.ts';
import { type BenchControl, type BenchmarkName, type BenchRequest, withAbsolutePaths } from './request.ts';
import { missingPrompts } from './result.ts';
import { runRow } from './row.ts';
import { requireSameSources, settlePlan } from './settle.ts';
import { TIMES_FILE } from './times.ts';
import { placeReferences } from './universe-cases.ts';

/** A row that could not be done on a case. */
export interface FailedRow {
  readonly case: string;
  readonly variant: string;
  readonly message: string;
}

export interface BenchOutcome extends BenchReport {
  readonly folder: string;
  readonly failed: readonly FailedRow[];
  /** Cases that were not begun, because of the time given. */
  readonly leftOver: number;
}

type Bench = AsyncGenerator<WorkflowEvent, BenchOutcome>;

const LOCK_FILE = 'benchmark.lock';

/** Settles a benchmark in a new folder and runs it. */
export async function* bench(request: BenchRequest, control: BenchControl, context: WorkflowContext): Bench {
  const absolute = withAbsolutePaths(request);
  await requireUnused(absolute.out);
  yield { type: 'stage', stage: 'settling cases' };
  const plan = await settlePlan(absolute, new FeatureCache(context.cacheFolder));
  await mkdir(absolute.out, { recursive: true });
  return yield* alone(absolute.out, async function* () {
    await writePlan(absolute.out, plan);
    return yield* runPlan(absolute.out, plan, control, context);
  });
}

/** Goes on with a benchmark of this name; results that are there are kept. */
export async function* resumeBench(
  path: string,
  benchmark: BenchmarkName,
  control: BenchControl,
  context: WorkflowContext,
): Bench {
  const folder = resolve(path);
  const plan = await readPlan(folder);
  if (plan.request.benchmark !== benchmark) {
    throw new BenchmarkError({
      where: folder,
      expected: `a benchmark ${benchmark}`,
      got: plan.request.benchmark,
      hint: `dualreal bench ${plan.request.benchmark} --resume ${shellWord(path)}`,
    });
  }
  await requireSameSources(plan, folder, new FeatureCache(context.cacheFolder));
  return yield* alone(folder, () => runPlan(folder, plan, control, context));
}

async function* alone<Result>(
  folder: string,
  work: () => AsyncGenerator<WorkflowEvent, Result>,
): AsyncGenerator<WorkflowEvent, Result> {
  const lock = await acquireLock(join(folder, LOCK_FILE), `benchmark ${folder}`);
  try {
    if (lock.notice) yield { type: 'notice', message: lock.notice };
    return yield* work();
  } finally {
    await lock.release();
  }
}

async function requireUnused(folder: string): Promise<void> {
  const names = existsSync(folder) ? await readdir(folder) : [];
  if (names.length === 0) return;
  const isBenchmark = names.includes(PLAN_FILE);
  throw new BenchmarkError({
    where: folder,
    expected: 'a new or empty folder',
    got: isBenchmark ? 'a benchmark' : `a folder with ${names.length} entries`,
    hint: isBenchmark ? 'go on with it with --resume, or choose another folder' : 'choose another folder',
  });
}

async function* runPlan(
  folder: string,
  plan: BenchPlan,
  control: BenchControl,
  context: WorkflowContext,
): Bench {
  const times = await openEventLog(join(folder, TIMES_FILE));
  try {
    if (times.notice) yield { type: 'notice', message: times.notice };
    const { failed, leftOver } = yield* runCases(folder, plan, control, context, times);
    const report = yield* writeBenchReport(folder, plan, control, context);
    return { folder, failed, leftOver, ...report };
  } catch (error) {
    if (error instanceof CancelledError) {
      const command = `dualreal bench ${plan.request.benchmark} --resume ${shellWord(folder)}`;
      yield { type: 'notice', message: `stopped; go on with: ${command}` };
    }
    throw error;
  } finally {
    await times.close();
  }
}

/** Case by case, every row of a case before the next, so that whenever it ends rows can be compared. */
async function* runCases(
  folder: string,
  plan: BenchPlan,
  control: BenchControl,
  context: WorkflowContext,
  times: EventLog,
): AsyncGenerator<WorkflowEvent, Pick<BenchOutcome, 'failed' | 'leftOver'>> {
  const open: BenchCase[] = [];
  for (const each of plan.cases) if (await isOpen(folder, plan, each)) open.push(each);
  const failed: FailedRow[] = [];
  const told = new Set<string>();
  const startedMs = context.clock();
  const motions = new MotionJudging(folder, plan, control, context);
  try {
    for (const [index, benchCase] of open.entries()) {
      const elapsed = (context.clock() - startedMs) / 60_000;
      if (!mayBegin(index, elapsed, control.minutes)) {
        const leftOver = open.length - index;
        yield {
          type: 'notice',
          message: `the time given is used up: ${leftOver} of ${plan.cases.length} cases are not begun; --resume goes on`,
        };
        return { failed, leftOver };
      }
      yield* runCase(folder, plan, benchCase, control, context, times, failed, told);
      yield* motions.judge(benchCase);
    }
    return { failed, leftOver: 0 };
  } finally {
    await motions.close();
  }
}

/** Whether one more case would be done in time, at the pace of those before it; the first is always begun. */
export function mayBegin(done: number, elapsedMinutes: number, minutes: number | undefined): boolean {
  if (minutes === undefined || done === 0) return true;
  return elapsedMinutes + elapsedMinutes / done <= minutes;
}

/** Whether something of a case is not done. */
async function isOpen(folder: string, plan: BenchPlan, benchCase: BenchCase): Promise<boolean> {
  if (openRows(folder, plan, benchCase).length > 0) return true;
  return plan.request.benchmark === 'customization' && (await needsJudging(folder, plan, benchCase));
}

function openRows(folder: string, plan: BenchPlan, benchCase: BenchCase): string[] {
  return plan.variants.map(({ id }) => id).filter((id) => missingPrompts(folder, benchCase, id).length > 0);
}

async function* runCase(
  folder: string,
  plan: BenchPlan,
  benchCase: BenchCase,
  control: BenchControl,
  context: WorkflowContext,
  times: EventLog,
  failed: FailedRow[],
  told: Set<string>,
): AsyncGenerator<WorkflowEvent> {
  if (plan.source.kind === 'universe') await placeReferences(folder, plan, benchCase, context.signal);
  for (const variant of openRows(folder, plan, benchCase)) {
    throwIfCancelled(context.signal, 'benchmark');
    const number = plan.cases.indexOf(benchCase) + 1;
    yield {
      type: 'stage',
      stage: `case ${number} of ${plan.cases.length}`,
      detail: `${benchCase.id}, ${variant}`,
    };
    const spent = (part: string, seconds: number) =>
      times.append({ case: benchCase.id, variant, part, seconds: Math.round(seconds * 1000) / 1000 });
    try {
      yield* quieter(runRow({ folder, plan, case: benchCase, variant, control, context, spent }), told);
    } catch (error) {
      if (!(error instanceof DualrealError)) throw error;
      failed.push({ case: benchCase.id, variant, message: error.message });
      yield { type: 'notice', message: `${variant} failed on ${benchCase.id}: ${error.message}` };
    }
  }
}

/** A row's events without its files, and without what another row has said before. */
async function* quieter(
  events: AsyncGenerator<WorkflowEvent>,
  told: Set<string>,
): AsyncGenerator<WorkflowEvent> {
  for await (const event of events) {
    if (event.type === 'artifact' || (event.type === 'notice' && told.has(event.message))) continue;
    if (event.type === 'notice') told.add(event.message);
    yield event;
  }
}

/** Writes the report anew from what is there, e.g. while a benchmark runs elsewhere. */
export async function* reportBench(
  path: string,
  control: BenchControl,
  context: WorkflowContext,
): AsyncGenerator<WorkflowEvent, BenchReport> {
  const folder = resolve(path);
  return yield* writeBenchReport(folder, await readPlan(folder), control, context);
}
