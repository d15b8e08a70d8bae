import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { DUALREAL_PRESETS } from '../methods/dualreal/index.ts';
import { readRun } from '../store/run-folder.ts';
import { SHIPPED_GUIDANCE } from '../toybox/pretrain/transformer/variants.ts';
import { EMBEDDED_BASE, EMBEDDED_BASE_FOLDER, isBaseFolder } from './base-location.ts';
import { type DemoParts, writeDemoReport } from './demo-report.ts';
import { type GeneratedVideo, generate } from './generate.ts';
import { generateRequestSchema } from './generate-request.ts';
import { initBase, initBaseRequestSchema } from './init-base.ts';
import { readStepTimes } from './report/collect-run.ts';
import type { ReportedTime } from './report/run-report.ts';
import { resumeTraining, train } from './train.ts';
import { trainRequestSchema } from './train-request.ts';
import { shellWord, type WorkflowContext, type WorkflowEvent } from './workflow.ts';

const count = z.number().int().positive();
const path = z.string().min(1);

export const demoRequestSchema = z.strictObject({
  /** Run folder to create, or that of a demo that was stopped; default: the first free runs/demo-N. */
  out: path.optional(),
  /** Training steps; default: those of `train`. */
  steps: count.optional(),
  /** Base model; default: the embedded one, or one with random weights where there is none yet. */
  base: path.optional(),
  /** Preset of the method and differences from it, as `train` takes them. The release's own loses the subject here. */
  preset: z.enum(Object.keys(DUALREAL_PRESETS) as [keyof typeof DUALREAL_PRESETS]).default('clean'),
  options: z.record(z.string(), z.json()).default({}),
  /** Denoising steps of a video. */
  videoSteps: count.default(30),
  guidance: z.number().min(1).default(SHIPPED_GUIDANCE),
  seed: z.number().int().nonnegative().default(42),
  /** Default: {@link DEMO_PROMPTS}. */
  prompts: z.array(z.string().min(1)).min(1).optional(),
  threads: count.optional(),
});

export type DemoRequest = z.infer<typeof demoRequestSchema>;

export interface DemoResult {
  readonly run: string;
  readonly videos: readonly GeneratedVideo[];
  /** The page that shows and explains everything. */
  readonly report: string;
}

/** What comes with the project, from src/workflows or dist/workflows. */
export const DEMO_FOLDER = fileURLToPath(new URL('../../demo', import.meta.url));

/** The subject by its class word, the motion by its own words, in scenes of no photo and no clip. */
export const DEMO_PROMPTS = ['in the forest', 'on the meadow', 'on the sea', 'in the ballroom'].map(
  (scene) => `an animal is hopping sideways ${scene}`,
);

/** Clips a motion step; the release's 3 would take the demo's training over two minutes. */
const MOTION_BATCH = 2;

/**
 * The main job on what comes with the project: trains on photos of a subject and clips of a motion, generates
 * videos with the trained adapters and with the base alone, and writes a report. Called again with the folder
 * of a demo that was stopped, it goes on where that one was.
 */
export async function* demo(
  request: DemoRequest,
  context: WorkflowContext,
): AsyncGenerator<WorkflowEvent, DemoResult> {
  const out = request.out ?? freeRunFolder();
  const threads = request.threads !== undefined && { threads: request.threads };
  const times: ReportedTime[] = [];
  try {
    yield* timedTraining(out, trainOrResume(out, request, context), context, times);
    // As an absolute path or a word, whatever the demo was begun with.
    const base = String((await readRun(out)).request.base);
    const videoRequest = {
      prompts: request.prompts ?? DEMO_PROMPTS,
      seed: request.seed,
      steps: request.videoSteps,
      guidance: request.guidance,
      ...threads,
    };
    const customized = generateRequestSchema.parse({ adapter: out, ...videoRequest });
    const videos = yield* timedVideos('videos', generate(customized, context), context, times);
    yield { type: 'stage', stage: 'the same words, given to the base alone' };
    const plainRequest = generateRequestSchema.parse({ base, out: join(out, 'plain-base'), ...videoRequest });
    const plain = yield* timedVideos(
      'videos of the base alone',
      generate(plainRequest, context),
      context,
      times,
    );
    const parts: DemoParts = { run: out, base, request: customized, videos, plain, times };
    const report = await writeDemoReport(parts);
    yield { type: 'artifact', kind: 'report', path: report };
    return { run: out, videos, report };
  } catch (error) {
    if (context.signal?.aborted && isRun(out)) {
      const command = `dualreal demo --out ${shellWord(out)}`;
      yield { type: 'notice', message: `the demo as a whole goes on with: ${command}` };
    }
    throw error;
  }
}

async function* trainOrResume(
  out: string,
  request: DemoRequest,
  context: WorkflowContext,
): AsyncGenerator<WorkflowEvent, unknown> {
  if (isRun(out)) {
    yield { type: 'notice', message: `going on with ${out}, trained as it was begun` };
    return yield* resumeTraining(out, context);
  }
  const { preset, options, steps, threads } = request;
  const training = trainRequestSchema.parse({
    subject: [join(DEMO_FOLDER, 'subject')],
    motion: [join(DEMO_FOLDER, 'motion')],
    base: request.base ?? (yield* defaultBase()),
    out,
    options,
    preset,
    motionBatch: MOTION_BATCH,
    ...(steps !== undefined && { steps }),
    ...(threads !== undefined && { threads }),
  });
  return yield* train(training, context);
}

function isRun(folder: string): boolean {
  return existsSync(join(folder, 'request.json'));
}

/** Steps are timed by their events, so that those before an interruption count too. */
async function* timedTraining<Result>(
  run: string,
  work: AsyncGenerator<WorkflowEvent, Result>,
  { clock }: WorkflowContext,
  times: ReportedTime[],
): AsyncGenerator<WorkflowEvent, Result> {
  const started = clock();
  let stepsMs = 0;
  for (;;) {
    const { done, value } = await work.next();
    if (!done) {
      if (value.type === 'step') stepsMs += value.durationMs;
      yield value;
      continue;
    }
    const { steps, seconds } = await readStepTimes((await readRun(run)).eventsFile);
    times.push(
      { stage: 'preparing, saving', seconds: (clock() - started - stepsMs) / 1000 },
      {
        stage: `${steps} training steps`,
        seconds,
        each: `${((1000 * seconds) / steps).toFixed(0)} ms per step`,
      },
    );
    return value;
  }
}

async function* timedVideos(
  what: string,
  work: AsyncGenerator<WorkflowEvent, readonly GeneratedVideo[]>,
  { clock }: WorkflowContext,
  times: ReportedTime[],
): AsyncGenerator<WorkflowEvent, readonly GeneratedVideo[]> {
  const started = clock();
  let made = 0;
  for (;;) {
    const { done, value } = await work.next();
    if (!done) {
      if (value.type === 'artifact' && value.kind === 'video') made++;
      yield value;
      continue;
    }
    const seconds = (clock() - started) / 1000;
    const known = value.length - made;
    times.push({
      stage: `${made} ${what}${known > 0 ? ` (${known} more were there)` : ''}`,
      seconds,
      ...(made > 0 && { each: `${(seconds / made).toFixed(1)} s per video` }),
    });
    return value;
  }
}

async function* defaultBase(): AsyncGenerator<WorkflowEvent, string> {
  if (isBaseFolder(EMBEDDED_BASE_FOLDER)) return EMBEDDED_BASE;
  const random = join('runs', 'random-base');
  if (isBaseFolder(random)) return random;
  return yield* initBase(initBaseRequestSchema.parse({ out: random }));
}

function freeRunFolder(): string {
  for (let n = 1; ; n++) {
    const folder = join('runs', `demo-${n}`);
    if (!existsSync(folder)) return folder;
  }
}
