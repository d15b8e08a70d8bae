import { parentPort, workerData } from 'node:worker_threads';
import type { BatchReply } from './batch-source.ts';
import { batcherOf } from './batchers.ts';
import type { BatchRequest } from './task.ts';

const port = parentPort!;
const batcher = batcherOf(workerData as BatchRequest);

port.on('message', (step: number) => {
  const tensors = batcher(step);
  const buffers = Object.values(tensors).map(({ data }) => data.buffer as ArrayBuffer);
  port.postMessage({ step, tensors } satisfies BatchReply, [...new Set(buffers)]);
});
