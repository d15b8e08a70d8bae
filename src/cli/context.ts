import { homedir } from 'node:os';
import { join } from 'node:path';
import { createRuntime } from '../runtime/index.ts';
import type { WorkflowContext } from '../workflows/workflow.ts';

/** Where encoded features are kept between runs. */
export function defaultCacheFolder(): string {
  return (
    process.env.DUALREAL_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'dualreal')
  );
}

/** A context whose signal fires at the first Ctrl-C; a second one ends the process at once. */
export function createContext(): WorkflowContext {
  const controller = new AbortController();
  const onInterrupt = () => {
    // Not exit: tearing down while onnxruntime computes aborts with a core dump.
    if (controller.signal.aborted) process.kill(process.pid, 'SIGKILL');
    process.stderr.write('\nstopping after this step (Ctrl-C again ends at once) …\n');
    controller.abort();
  };
  process.on('SIGINT', onInterrupt);
  process.on('SIGTERM', onInterrupt);
  return {
    signal: controller.signal,
    clock: () => performance.now(),
    openRuntime: ({ device, threads }) =>
      createRuntime({ backend: device as 'cpu' | 'webgpu' | 'cuda', ...(threads && { threads }) }),
    cacheFolder: defaultCacheFolder(),
  };
}
