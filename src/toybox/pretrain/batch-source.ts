import { Worker } from 'node:worker_threads';
import type { Tensors } from '../../runtime/index.ts';
import { DualrealError } from '../../tensor/errors.ts';
import type { BatchRequest } from './task.ts';

/** Batches in order of their steps, rendered ahead in a thread. */
export interface BatchSource {
  take(step: number): Promise<Tensors>;
  close(): Promise<void>;
}

/** The thread that renders batches ended. */
export class BatchThreadError extends DualrealError {}

export interface BatchReply {
  readonly step: number;
  readonly tensors: Tensors;
}

/** Batches kept ready. */
const AHEAD = 3;

/** Starts a thread that renders the batches from `firstStep` on, a few ahead of the one that is taken. */
export function openBatchSource(request: BatchRequest, firstStep: number): BatchSource {
  const fromSource = import.meta.url.endsWith('.ts');
  const file = fromSource ? './batch-worker.source.mjs' : './batch-worker.js';
  const worker = new Worker(new URL(file, import.meta.url), { workerData: request });
  const ready = new Map<number, Tensors>();
  let waiting: { readonly step: number; readonly resolve: (tensors: Tensors) => void } | undefined;
  let fail: (error: Error) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  // Only whoever waits for a batch needs to hear of it.
  failed.catch(() => {});
  let next = firstStep;
  const askUpTo = (last: number) => {
    for (; next <= last; next++) worker.postMessage(next);
  };
  worker.on('message', ({ step, tensors }: BatchReply) => {
    if (waiting?.step === step) {
      waiting.resolve(tensors);
      waiting = undefined;
    } else ready.set(step, tensors);
  });
  worker.on('error', fail);
  worker.on('exit', (code) => {
    const got = `exit code ${code}`;
    fail(new BatchThreadError({ where: 'rendering thread', expected: 'it to keep running', got }));
  });
  askUpTo(firstStep + AHEAD - 1);
  return {
    take: (step) => {
      askUpTo(step + AHEAD);
      const found = ready.get(step);
      ready.delete(step);
      if (found) return Promise.resolve(found);
      const arrival = new Promise<Tensors>((resolve) => {
        waiting = { step, resolve };
      });
      return Promise.race([arrival, failed]);
    },
    close: async () => {
      await worker.terminate();
    },
  };
}
