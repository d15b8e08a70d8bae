import { Worker } from 'node:worker_threads';
import { DualrealError } from '../tensor/errors.ts';
import { EngineError } from './engine-error.ts';
import { EngineHost } from './engine-host.ts';
import { NonFiniteGradientError } from './optimizer/adamw.ts';
import type { EngineConnection, EngineMethod, Reply, ReplyError } from './protocol.ts';

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
  const file = fromSource ? './engine-worker.source.mjs' : './engine-worker.js';
  const worker = new Worker(new URL(file, import.meta.url));
  const pending = new Map<number, Pending>();
  let nextId = 0;
  let ended: Error | undefined;

  const failAll = (error: Error) => {
    ended ??= error;
    for (const { reject } of pending.values()) reject(error);
    pending.clear();
  };
  worker.on('message', (reply: Reply) => {
    const waiting = pending.get(reply.id);
    pending.delete(reply.id);
    if (pending.size === 0) worker.unref();
    if (reply.ok) waiting?.resolve(reply.value);
    else waiting?.reject(revive(reply.error));
  });
  worker.on('error', failAll);
  worker.on('exit', (code) => {
    failAll(
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
        pending.set(id, { resolve: resolve as (value: unknown) => void, reject });
        worker.ref();
        worker.postMessage({ id, method, args });
      }),
    close: async () => {
      await worker.terminate();
    },
  };
}

function revive({ name, message, facts }: ReplyError): Error {
  if (!facts) return Object.assign(new Error(message), { name });
  if (name === 'EngineError') return new EngineError(facts);
  if (name === 'NonFiniteGradientError') return new NonFiniteGradientError(facts);
  return Object.assign(new DualrealError(facts), { name });
}
