import { initialParameters } from '../methods/dualreal/index.ts';
import { latestCheckpoint, saveCheckpoint } from '../store/checkpoint.ts';
import type { OpenRun } from '../store/run-folder.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import type { TrainingSession } from './training-session.ts';

const OPTIMIZER_PREFIX = 'optimizer/';

/** Loads the newest checkpoint, or the initial state of the seed. */
export async function restoreTraining(
  session: TrainingSession,
  run: OpenRun,
  seed: number,
): Promise<{ step: number; notices: readonly string[] }> {
  const { checkpoint, notices } = await latestCheckpoint(run);
  if (!checkpoint) {
    await session.trainer.load({ parameters: initialParameters(session.parameters, seed) });
    return { step: 0, notices };
  }
  const parameters = new Map<string, HostTensor>();
  const optimizer = new Map<string, HostTensor>();
  for (const [name, tensor] of checkpoint.tensors) {
    if (name.startsWith(OPTIMIZER_PREFIX)) optimizer.set(name.slice(OPTIMIZER_PREFIX.length), tensor);
    else parameters.set(name, tensor);
  }
  await session.trainer.load({ parameters, optimizer });
  return { step: checkpoint.step, notices };
}

/** Writes everything that the rest of the run depends on; returns the file. */
export async function saveTraining(
  { trainer }: TrainingSession,
  run: OpenRun,
  step: number,
  keep: number,
): Promise<string> {
  const { parameters, optimizer } = await trainer.read();
  const tensors = new Map(parameters);
  for (const [name, tensor] of optimizer) tensors.set(OPTIMIZER_PREFIX + name, tensor);
  return (await saveCheckpoint(run, { step, tensors, progress: {} }, { keep })).path;
}
