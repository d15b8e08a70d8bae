import { parentPort, workerData } from 'node:worker_threads';
import { type BankSource, sampleRenderer } from './bank-samples.ts';

const port = parentPort!;
const render = sampleRenderer(workerData as BankSource);

port.on('message', ({ first, count }: { readonly first: number; readonly count: number }) => {
  const { pixels, tokens, mask } = render(first, count);
  const buffers = [pixels, tokens, mask].map((data) => data.buffer as ArrayBuffer);
  port.postMessage({ pixels, tokens, mask }, buffers);
});
