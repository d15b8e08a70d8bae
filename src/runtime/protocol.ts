import type { EngineHost } from './engine-host.ts';
import type { RemoteError } from './remote-error.ts';

/** The engine host's public methods, all asynchronous from outside. */
export type EngineMethod = {
  [K in keyof EngineHost]: EngineHost[K] extends (...args: never[]) => unknown ? K : never;
}[keyof EngineHost];

export type EngineArguments<M extends EngineMethod> = Parameters<EngineHost[M]>;
export type EngineResult<M extends EngineMethod> = Awaited<ReturnType<EngineHost[M]>>;

export interface Request {
  readonly id: number;
  readonly method: EngineMethod;
  readonly args: readonly unknown[];
}

export type Reply =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly error: RemoteError };

/** How the runtime reaches its engine host, wherever that lives. */
export interface EngineConnection {
  call<M extends EngineMethod>(method: M, ...args: EngineArguments<M>): Promise<EngineResult<M>>;
  /** Rejects what is under way at once; resolves when the engine has ended. */
  close(): Promise<void>;
}
