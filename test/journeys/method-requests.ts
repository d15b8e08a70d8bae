import type { Method } from '../../src/methods/index.ts';
import type { TrainRequestInput } from '../../src/workflows/train-request.ts';

/** Five steps in all: a checkpoint falls inside a stage, and each stage's end is one. */
export const STEPS = 5;

/** What each method is asked for here, what it then writes, and where a stage ends. */
export const METHODS: Record<
  Method['name'],
  { request: Partial<TrainRequestInput>; files: string[]; phases: string[]; boundary?: number }
> = {
  dualreal: {
    // A seed that draws both kinds of step.
    request: { options: { groups: 2, bottleneck: 4 }, steps: STEPS, seed: 3 },
    files: ['adapter.safetensors'],
    phases: ['identity', 'motion'],
  },
  lora: {
    request: { options: { rank: 2, alpha: 4 }, stageSteps: { identity: 3, motion: 2 } },
    files: ['lora-identity.safetensors', 'lora-motion.safetensors'],
    phases: ['identity', 'motion'],
    boundary: 3,
  },
  full: {
    request: { stageSteps: { identity: 3, motion: 2 } },
    files: ['adapter.safetensors', 'after-identity.safetensors'],
    phases: ['identity', 'motion'],
    boundary: 3,
  },
  dreamvideo: {
    request: { stageSteps: { token: 2, identity: 1, motion: 2 }, subjectWord: 'disc', subjectBatch: 2 },
    files: ['adapter.safetensors'],
    phases: ['token', 'identity', 'motion'],
    boundary: 3,
  },
  motionbooth: {
    request: { steps: STEPS, subjectWord: 'disc', subjectBatch: 3, motion: [] },
    files: ['adapter.safetensors'],
    phases: ['subject', 'preservation'],
  },
};
