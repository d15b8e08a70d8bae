import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { BankSource, RenderedSamples } from './bank-samples.ts';

/** Renders ranges of samples on several threads and yields them in order, some ahead of the taker. */
export async function* renderInThreads(
  source: BankSource,
  ranges: readonly { readonly first: number; readonly count: number }[],
  threads: number,
): AsyncGenerator<RenderedSamples> {
  const file = import.meta.url.endsWith('.ts') ? './bank-worker.source.mjs' : './bank-worker.js';
  const url = new URL(file, import.meta.url);
  const workers = Array.from(
    { length: Math.min(threads, ranges.length) },
    () => new Worker(url, { workerData: source }),
  );
  const ask = async (i: number): Promise<RenderedSamples> => {
    const worker = workers[i % workers.length];
    worker.postMessage(ranges[i]);
    const [samples] = (await once(worker, 'message')) as [RenderedSamples];
    return samples;
  };
  // One range at a time for each thread, so that its next message answers its last request.
  const pending: Promise<RenderedSamples>[] = [];
  const start = (i: number) => {
    pending[i] = ask(i);
    // Whoever takes it hears of the failure; one that is never taken must not end the process.
    pending[i].catch(() => {});
  };
  try {
    for (let i = 0; i < workers.length; i++) start(i);
    for (let i = 0; i < ranges.length; i++) {
      const samples = await pending[i];
      if (i + workers.length < ranges.length) start(i + workers.length);
      yield samples;
    }
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
