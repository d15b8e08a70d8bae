import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { type GeneratedVideo, generate } from './generate.ts';
import { generateRequestSchema } from './generate-request.ts';
import { initBase, initBaseRequestSchema } from './init-base.ts';
import { train } from './train.ts';
import { trainRequestSchema } from './train-request.ts';
import type { WorkflowContext, WorkflowEvent } from './workflow.ts';

const path = z.string().min(1);

export const demoRequestSchema = z.strictObject({
  /** Run folder to create; default: the first free runs/demo-N. */
  out: path.optional(),
  steps: z.number().int().positive().default(300),
  /** Base model; default: the embedded one, or one with random weights where there is none yet. */
  base: path.optional(),
});

export type DemoRequest = z.infer<typeof demoRequestSchema>;

/** Project folder, from src/workflows or dist/workflows. */
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** The main job on what comes with the project: photos of a subject, clips of a motion, then videos. */
export async function* demo(
  request: DemoRequest,
  context: WorkflowContext,
): AsyncGenerator<WorkflowEvent, readonly GeneratedVideo[]> {
  const base = request.base ?? (yield* embeddedBase());
  const out = request.out ?? freeRunFolder();
  yield* train(
    trainRequestSchema.parse({
      subject: [join(ROOT, 'demo', 'subject')],
      motion: [join(ROOT, 'demo', 'motion')],
      base,
      out,
      steps: request.steps,
    }),
    context,
  );
  return yield* generate(
    generateRequestSchema.parse({ adapter: out, prompts: DEMO_PROMPTS, steps: 30, guidance: 3 }),
    context,
  );
}

/** The subject by its class word, the motion by its own words, in scenes of no photo and no clip. */
const DEMO_PROMPTS = [
  'an animal is doing a somersault in the forest',
  'an animal is doing a somersault on the beach',
];

async function* embeddedBase(): AsyncGenerator<WorkflowEvent, string> {
  const shipped = join(ROOT, 'weights', 'toybox');
  if (existsSync(join(shipped, 'model_index.json'))) return shipped;
  const random = join('runs', 'random-base');
  if (existsSync(join(random, 'model_index.json'))) return random;
  return yield* initBase(initBaseRequestSchema.parse({ out: random }));
}

function freeRunFolder(): string {
  for (let n = 1; ; n++) {
    const folder = join('runs', `demo-${n}`);
    if (!existsSync(folder)) return folder;
  }
}
