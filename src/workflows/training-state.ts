import { latestCheckpoint, saveCheckpoint } from '../store/checkpoint.ts';
import type { OpenRun } from '../store/run-folder.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import type { TrainingSession } from './training-session.ts';

const OPTIMIZER_PREFIX = 'optimizer/';

/** Everything that a run has trained so far. */
export interface TrainingState {
  /** Steps done, of all stages. */
  readonly step: number;
  /** Every tensor of the method; what no stage has trained yet has its initial value. */
  readonly trained: Map<string, HostTensor>;
  /** Of the stage that the last step belonged to. */
  readonly optimizer?: Map<string, HostTensor>;
  readonly notices: readonly string[];
}

/** The newest checkpoint, or the initial state. */
export async function restoreTraining(
  run: OpenRun,
  initial: () => Promise<Map<string, HostTensor>>,
): Promise<TrainingState> {
  const { checkpoint, notices } = await latestCheckpoint(run);
  if (!checkpoint) return { step: 0, trained: await initial(), notices };
  const trained = new Map<string, HostTensor>();
  const optimizer = new Map<string, HostTensor>();
  for (const [name, tensor] of checkpoint.tensors) {
    if (name.startsWith(OPTIMIZER_PREFIX)) optimizer.set(name.slice(OPTIMIZER_PREFIX.length), tensor);
    else trained.set(name, tensor);
  }
  return { step: checkpoint.step, trained, optimizer, notices };
}

/** Writes everything that the rest of the run depends on, `trained` being what the trainer does not hold. */
export async function saveTraining(
  session: TrainingSession,
  trained: ReadonlyMap<string, HostTensor>,
  run: OpenRun,
  step: number,
  keep: number,
): Promise<string> {
  const { parameters, optimizer } = await session.read();
  const tensors = new Map(session.names.map((name) => [name, parameters.get(name) ?? trained.get(name)!]));
  for (const [name, tensor] of optimizer) tensors.set(OPTIMIZER_PREFIX + name, tensor);
  return (await saveCheckpoint(run, { step, tensors, progress: {} }, { keep })).path;
}
