import type { Runtime } from '../runtime/index.ts';

/** What a workflow is given besides its request. Everything a caller may want to replace is here. */
export interface WorkflowContext {
  /** Fires when the user cancels; workflows save what they can and stop. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds from an arbitrary start, monotonic. */
  readonly clock: () => number;
  /** Starts an engine; the workflow closes what it opens. */
  readonly openRuntime: (options: {
    readonly device: string;
    readonly threads?: number | undefined;
  }) => Runtime;
  /** Folder of the feature cache. */
  readonly cacheFolder: string;
}

/** Something that happened, as plain data: printed by the command line, stored in events.jsonl, streamed. */
export type WorkflowEvent =
  | { readonly type: 'stage'; readonly stage: string; readonly detail?: string }
  | {
      readonly type: 'progress';
      readonly stage: string;
      readonly done: number;
      readonly total: number;
      readonly secondsLeft?: number;
    }
  | { readonly type: 'notice'; readonly message: string }
  | {
      readonly type: 'estimate';
      readonly seconds: number;
      readonly memoryBytes: number;
      readonly detail: string;
    }
  | {
      readonly type: 'step';
      readonly step: number;
      /** Of all stages. */
      readonly total: number;
      /** Where a method has several; `secondsLeft` is then that of the stage. */
      readonly stage?: {
        readonly name: string;
        /** From 1. */
        readonly number: number;
        readonly of: number;
        readonly step: number;
        readonly total: number;
      };
      readonly phase: string;
      readonly loss: number;
      readonly learningRate: number;
      readonly gradientNorm: number;
      readonly durationMs: number;
      readonly secondsLeft: number;
      readonly timesteps: readonly number[];
      /** Identity weight of each group, per sample [B][n] (DualReal). */
      readonly identityWeights?: readonly (readonly number[])[];
      /** Other scalars of the method's objective. */
      readonly numbers?: Readonly<Record<string, number>>;
    }
  | {
      readonly type: 'denoise';
      readonly step: number;
      readonly total: number;
      readonly timestep: number;
      readonly guidance: number;
      readonly secondsLeft: number;
      readonly identityWeights?: readonly number[];
    }
  | {
      readonly type: 'pretrain';
      readonly model: string;
      readonly step: number;
      readonly total: number;
      readonly loss: number;
      /** Other scalars of the model's objective. */
      readonly numbers: Readonly<Record<string, number>>;
      readonly learningRate: number;
      readonly gradientNorm: number;
      readonly durationMs: number;
      readonly secondsLeft: number;
    }
  | { readonly type: 'artifact'; readonly kind: string; readonly path: string };

/** A unit of work: yields events while it runs and returns its result. */
export type Workflow<Request, Result> = (
  request: Request,
  context: WorkflowContext,
) => AsyncGenerator<WorkflowEvent, Result>;

/** Mean seconds per unit so far times what is left; undefined before the first unit. */
export function secondsLeft(
  startedMs: number,
  nowMs: number,
  done: number,
  total: number,
): number | undefined {
  if (done === 0) return undefined;
  return (((nowMs - startedMs) / done) * (total - done)) / 1000;
}

/** Runs a workflow to its end, handing each event to `onEvent`. */
export async function runWorkflow<Result>(
  workflow: AsyncGenerator<WorkflowEvent, Result>,
  onEvent: (event: WorkflowEvent) => void | Promise<void>,
): Promise<Result> {
  for (;;) {
    const { done, value } = await workflow.next();
    if (done) return value;
    await onEvent(value);
  }
}

/** A path as one word of a command line. */
export function shellWord(path: string): string {
  return /^[\w./:@%+=-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
