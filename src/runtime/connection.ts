import { Worker } from 'node:worker_threads';
import { EngineError } from './engine-error.ts';
import { EngineHost } from './engine-host.ts';
import type { EngineConnection, EngineMethod, Reply } from './protocol.ts';
import { reviveError } from './remote-error.ts';

/** The engine in the caller's own thread: no copies, but the event loop waits. For tools and tests. */
export function connectInline(): EngineConnection {
  const host = new EngineHost();
  return {
    call: async (method, ...args) => {
      const target = host[method] as (...operands: readonly unknown[]) => unknown;
      return (await target.call(host, ...args)) as never;
    },
    close: async () => {},
  };
}

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The engine in a worker thread, so that the event loop stays free while onnxruntime computes. */
export function connectWorker(): EngineConnection {
  const fromSource = import.meta.url.endsWith('.ts');
  const program = fromSource ? './engine-worker.source.mjs' : './engine-worker.js';
  const worker = new Worker(new URL(program, import.meta.url));
  const pending = new Map<number, Pending>();
  let nextId = 0;
  let ended: Error | undefined;

  const end = (error: Error) => {
    ended ??= error;
    for (const { reject } of pending.values()) reject(ended);
    pending.clear();
  };
  worker.on('message', (reply: Reply) => {
    const waiting = pending.get(reply.id);
    pending.delete(reply.id);
    if (pending.size === 0) worker.unref();
    if (reply.ok) waiting?.resolve(reply.value);
    else waiting?.reject(reviveError(reply.error));
  });
  worker.on('error', end);
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
      await worker.terminate();
    },
  };
}

/**
 * A message without views into larger buffers: posting a view clones all that lies behind it, which may be
 * a whole file.
 */
function withOwnBuffers(value: unknown): unknown {
  if (ArrayBuffer.isView(value)) {
    const view = value as Uint8Array;
    return view.byteLength === view.buffer.byteLength ? view : view.slice();
  }
  if (Array.isArray(value)) return value.map(withOwnBuffers);
  if (value instanceof Map) return new Map([...value].map(([key, entry]) => [key, withOwnBuffers(entry)]));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, withOwnBuffers(entry)]));
}
