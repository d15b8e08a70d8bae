import { drawTimestep } from '../diffusion/index.ts';
import { randomStream } from '../tensor/random.ts';

/** A kind of step as plans see it. */
export interface PlannedPhase {
  readonly name: string;
  /** Whose items form its batches. */
  readonly data: 'identity' | 'motion' | 'generic';
  readonly batch: number;
  readonly items: number;
}

export interface PlanSettings {
  readonly seed: number;
  readonly phases: readonly PlannedPhase[];
  /** Drawn: one of motion with probability `motionRatio`, else the other. In turn: one after the other. */
  readonly order: 'drawn' | 'in-turn';
  readonly motionRatio: number;
  /** The stage's first step: turns begin there. */
  readonly first: number;
  readonly trainTimesteps: number;
  /** By data: timesteps come with density proportional to t to this power. Default 0, uniform. */
  readonly timestepBias: Readonly<Partial<Record<PlannedPhase['data'], number>>>;
}

/** Everything random about one training step except noise values. */
export interface StepPlan {
  readonly step: number;
  readonly phase: string;
  readonly data: PlannedPhase['data'];
  /** Which photos or clips form the batch. */
  readonly items: readonly number[];
  readonly timesteps: readonly number[];
}

/**
 * The plan of a step, a pure function of (seed, step). Where phases are drawn, all data sets move on at every
 * step whichever is drawn, as in the release; in turn, each moves on at its own. Each pass over a set is a
 * fresh permutation.
 */
export function planStep(settings: PlanSettings, step: number): StepPlan {
  const { seed, phases, order, motionRatio, first } = settings;
  if (order === 'in-turn') {
    const turn = (step - first) % phases.length;
    return planPhase(settings, phases[turn], step, first + Math.floor((step - first) / phases.length));
  }
  const wanted = randomStream(seed, 'phase', step).uniform() < motionRatio;
  const drawn = phases.find(({ data }) => (data === 'motion') === wanted) ?? phases[0];
  return planPhase(settings, drawn, step, step);
}

/** The plan of a step of one phase, with the `turn`-th batch of its data. */
export function planPhase(
  { seed, trainTimesteps, timestepBias }: PlanSettings,
  { name, data, batch, items }: PlannedPhase,
  step: number,
  turn: number,
): StepPlan {
  const timesteps = randomStream(seed, 'timestep', step);
  const bias = timestepBias[data] ?? 0;
  return {
    step,
    phase: name,
    data,
    items: Array.from({ length: batch }, (_, i) => itemAt(seed, data, items, turn * batch + i)),
    timesteps: Array.from({ length: batch }, () => drawTimestep(timesteps, trainTimesteps, bias)),
  };
}

function itemAt(seed: number, data: string, count: number, position: number): number {
  const pass = Math.floor(position / count);
  return randomStream(seed, 'order', data, pass).permutation(count)[position % count];
}
