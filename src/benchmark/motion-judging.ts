import { join } from 'node:path';
import type { Runtime } from '../runtime/index.ts';
import type { WorkflowContext, WorkflowEvent } from '../workflows/workflow.ts';
import { type MotionJudge, openMotionJudge } from './motion-judge.ts';
import { judgeableClips, needsJudging, writeExam, writeJudged } from './motion-results.ts';
import type { BenchCase, BenchPlan } from './plan.ts';
import type { BenchControl } from './request.ts';
import { readResult } from './result.ts';

/** The motion classifier of a session of `customization`: trained for the first case, kept for the others. */
export class MotionJudging {
  private readonly folder: string;
  private readonly plan: BenchPlan;
  private readonly control: Pick<BenchControl, 'threads'>;
  private readonly context: WorkflowContext;
  private runtime: Runtime | undefined;
  private judging: MotionJudge | undefined;

  constructor(
    folder: string,
    plan: BenchPlan,
    control: Pick<BenchControl, 'threads'>,
    context: WorkflowContext,
  ) {
    this.folder = folder;
    this.plan = plan;
    this.control = control;
    this.context = context;
  }

  /** Tells what the videos of a case show, where that has not been done; the other benchmarks do not ask. */
  async *judge(benchCase: BenchCase): AsyncGenerator<WorkflowEvent> {
    const { folder, plan, context } = this;
    if (plan.request.benchmark !== 'customization') return;
    if (!(await needsJudging(folder, plan, benchCase))) return;
    const judge = yield* this.open();
    yield { type: 'stage', stage: 'recognising motions', detail: benchCase.id };
    const places = judgeableClips(folder, plan, benchCase);
    const videos: string[] = [];
    for (const { variant, prompt } of places) {
      videos.push(join(folder, (await readResult(folder, benchCase.id, variant, prompt)).video));
    }
    const answers = await judge.recognise(videos, context.signal);
    const clips = places.map((place, i) => ({ ...place, ...answers[i] }));
    await writeJudged(folder, { version: 1, case: benchCase.id, clips });
  }

  private async *open(): AsyncGenerator<WorkflowEvent, MotionJudge> {
    if (this.judging) return this.judging;
    const { folder, plan, control, context } = this;
    this.runtime ??= context.openRuntime({ device: plan.request.device, threads: control.threads });
    const judge = yield* openMotionJudge(this.runtime, plan, context);
    const { classes, exam } = judge;
    await writeExam(folder, {
      version: 1,
      classes: [...classes],
      lessons: plan.request.lessons,
      exam: [...exam],
    });
    this.judging = judge;
    return judge;
  }

  async close(): Promise<void> {
    await this.runtime?.close();
  }
}
