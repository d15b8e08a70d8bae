import { parentPort, workerData } from 'node:worker_threads';
import { EngineHost } from './engine-host.ts';
import { buffersOf } from './own-buffers.ts';
import type { Reply, Request } from './protocol.ts';
import { packError } from './remote-error.ts';

const host = new EngineHost();
const port = parentPort!;
/** Not zero once the runtime is closed: what still waits is not started. */
const { stopping } = workerData as { readonly stopping: Int32Array };

// One request at a time: onnxruntime uses all threads for each, and training steps must not interleave.
let queue: Promise<void> = Promise.resolve();

port.on('message', (request: Request) => {
  queue = queue.then(async () => {
    if (Atomics.load(stopping, 0) !== 0) {
      port.close();
      return;
    }
    const reply = await answer(request);
    try {
      // Nothing that is returned is kept here: results are the caller's, states are copies.
      port.postMessage(reply, [...buffersOf(reply)] as ArrayBuffer[]);
    } catch (error) {
      port.postMessage({ id: request.id, ok: false, error: packError(error) } satisfies Reply);
    }
  });
});

async function answer({ id, method, args }: Request): Promise<Reply> {
  try {
    const call = host[method] as (...operands: readonly unknown[]) => unknown;
    return { id, ok: true, value: await call.call(host, ...args) };
  } catch (error) {
    return { id, ok: false, error: packError(error) };
  }
}
