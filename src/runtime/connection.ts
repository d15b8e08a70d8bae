import { Worker } from 'node:worker_threads';
import { EngineError, missingEngineError } from './engine-error.ts';
import type { EngineHost } from './engine-host.ts';
import { withOwnBuffers } from './own-buffers.ts';
import type { EngineConnection, EngineMethod, Reply } from './protocol.ts';
import { reviveError } from './remote-error.ts';

/** The engine in the caller's own thread: no copies, but the event loop waits. For tools and tests. */
export function connectInline(): EngineConnection {
  let host: Promise<EngineHost> | undefined;
  return {
    call: async (method, ...args) => {
      host ??= loadEngineHost();
      const target = (await host)[method] as (...operands: readonly unknown[]) => unknown;
      return (await target.call(await host, ...args)) as never;
    },
    close: async () => {},
  };
}

/** Here and in the thread onnxruntime is loaded when it is first needed, so that only then it can fail. */
async function loadEngineHost(): Promise<EngineHost> {
  try {
    return new (await import('./engine-host.ts')).EngineHost();
  } catch (cause) {
    throw missingEngineError(cause);
  }
}

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The engine in a worker thread, so that the event loop stays free while onnxruntime computes. */
export function connectWorker(): EngineConnection {
  const fromSource = import.meta.url.endsWith('.ts');
  const program = fromSource ? './engine-worker.source.mjs' : './engine-worker.js';
  const stopping = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  const worker = new Worker(new URL(program, import.meta.url), {
    workerData: { stopping },
    // The thread makes little but short-lived garbage: copies of results that onnxruntime-node makes even of
    // gradients it has written into the trainer's memory. A small nursery frees them early.
    resourceLimits: { maxYoungGenerationSizeMb: 2 },
  });
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  const pending = new Map<number, Pending>();
  let nextId = 0;
  let ended: Error | undefined;
  let hasStarted = false;

  const end = (error: Error) => {
    ended ??= error;
    for (const { reject } of pending.values()) reject(ended);
    pending.clear();
  };
  worker.on('message', (reply: Reply) => {
    hasStarted = true;
    const waiting = pending.get(reply.id);
    pending.delete(reply.id);
    if (pending.size === 0) worker.unref();
    if (reply.ok) waiting?.resolve(reply.value);
    else waiting?.reject(reviveError(reply.error));
  });
  worker.on('error', (cause) => end(hasStarted ? cause : missingEngineError(cause)));
  worker.on('exit', (code) => {
    end(
      new EngineError({ where: 'engine thread', expected: 'it to keep running', got: `exit code ${code}` }),
    );
  });
  worker.unref();

  return {
    call: <M extends EngineMethod>(method: M, ...args: unknown[]) =>
      new Promise<never>((resolve, reject) => {
        if (ended) {
          reject(ended);
          return;
        }
        const id = nextId++;
        worker.postMessage({ id, method, args: args.map(withOwnBuffers) });
        pending.set(id, { resolve: resolve as (value: unknown) => void, reject });
        worker.ref();
      }),
    close: async () => {
      end(new EngineError({ where: 'engine', expected: 'an open runtime', got: 'one that was closed' }));
      // Ending the thread from outside while onnxruntime computes would abort the process.
      Atomics.store(stopping, 0, 1);
      worker.ref();
      worker.postMessage(undefined);
      await exited;
    },
  };
}
