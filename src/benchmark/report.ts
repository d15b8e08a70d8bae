import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { probeMedia } from '../media/index.ts';
import { encodeJson } from '../store/plain-json.ts';
import { writeFileAtomic } from '../tensor/atomic-file.ts';
import { throwIfCancelled } from '../tensor/errors.ts';
import type { WorkflowContext, WorkflowEvent } from '../workflows/workflow.ts';
import { aggregate, type BenchTable } from './aggregate.ts';
import { type ControllerMeans, controllerMeans, type MotionCurve, motionCurves } from './curves.ts';
import { type Customization, customizationOf } from './customization.ts';
import { type MotionRecord, readMotions } from './motion-results.ts';
import type { BenchPlan } from './plan.ts';
import { PUBLISHED, type Published } from './published.ts';
import { renderTableCsv, renderVideosCsv } from './report-csv.ts';
import { renderCustomizationCsv } from './report-customization.ts';
import { renderBenchPage, type SheetPicture } from './report-page.ts';
import type { BenchControl } from './request.ts';
import { type BenchResult, readResults } from './result.ts';
import { writeCaseSheet } from './sheets.ts';
import { readTimes } from './times.ts';
import { BENCHMARK_CARDS } from './variants.ts';

/** What a benchmark found; also the contents of report.json. */
export interface BenchReport {
  readonly benchmark: BenchPlan['request']['benchmark'];
  readonly base: BenchPlan['base'];
  readonly source: BenchPlan['source'];
  readonly table: BenchTable;
  readonly published?: Published;
  /** Fig. 7. */
  readonly controller?: ControllerMeans;
  /** Fig. 2. */
  readonly motion?: readonly MotionCurve[];
  /** Of `customization`: the verdict, and the motion classifier that it rests on. */
  readonly customization?: Customization & Pick<MotionRecord, 'exam'>;
}

export const REPORT_FOLDER = 'report';

/** Tables, curves, sheets and the page, from the results that are there. */
export async function* writeBenchReport(
  folder: string,
  plan: BenchPlan,
  { sheets: shown }: Pick<BenchControl, 'sheets'>,
  { signal }: Pick<WorkflowContext, 'signal'>,
): AsyncGenerator<WorkflowEvent, BenchReport> {
  yield { type: 'stage', stage: 'writing the report' };
  const { benchmark } = plan.request;
  const results = await readResults(folder, plan);
  const motions = benchmark === 'customization' ? await readMotions(folder, plan) : undefined;
  const report = reportOf(plan, results, motions);
  const out = join(folder, REPORT_FOLDER);
  await mkdir(out, { recursive: true });
  const sheets: SheetPicture[] = [];
  for (const benchCase of plan.cases.slice(0, shown)) {
    throwIfCancelled(signal, 'report');
    const src = `sheets/${benchCase.id}.png`;
    if (!(await writeCaseSheet(join(out, src), folder, plan, benchCase, results, motions, signal))) continue;
    const { width, height } = await probeMedia(join(out, src));
    sheets.push({ case: benchCase.id, src, width, height });
  }
  const { table, published, controller, motion = [] } = report;
  const page = renderBenchPage({
    ...{ plan, table, published, controller, motion, sheets, motions },
    customization: report.customization,
    times: await readTimes(folder),
    madeBy: `dualreal ${plan.versions.dualreal}, bench ${benchmark}`,
  });
  const files = {
    'report.json': `${JSON.stringify(JSON.parse(encodeJson(report, 'report')), null, 2)}\n`,
    'table.csv': renderTableCsv(table, published),
    'videos.csv': renderVideosCsv(results),
    ...(report.customization && {
      'customization.csv': renderCustomizationCsv(report.customization, report.customization),
    }),
    'index.html': page,
  };
  for (const [name, text] of Object.entries(files)) {
    await writeFileAtomic(join(out, name), text);
    yield { type: 'artifact', kind: name === 'index.html' ? 'report' : 'table', path: join(out, name) };
  }
  return report;
}

/** A pure function of the plan and its results. */
export function reportOf(
  plan: BenchPlan,
  results: readonly BenchResult[],
  motions?: MotionRecord | undefined,
): BenchReport {
  const { benchmark } = plan.request;
  const table = aggregate(plan, results);
  const counted = new Set(table.counted);
  const controller = controllerMeans(
    results.filter((result) => counted.has(result.case)),
    BENCHMARK_CARDS[benchmark].own,
  );
  const published = PUBLISHED[benchmark];
  return {
    benchmark,
    base: plan.base,
    source: plan.source,
    table,
    ...(published && { published }),
    ...(controller && { controller }),
    ...(benchmark === 'fig2' && { motion: motionCurves(table) }),
    ...(motions && {
      customization: {
        ...customizationOf(plan, results, motions),
        ...(motions.exam && { exam: motions.exam }),
      },
    }),
  };
}
