import { DualrealError, type ErrorFacts, FileFormatError, ShapeError } from '../tensor/errors.ts';
import { EngineError } from './engine-error.ts';
import { NonFiniteGradientError, OptimizerSettingError } from './optimizer/adamw.ts';
import { ArenaLayoutError, ArenaSizeError } from './optimizer/parameter-arena.ts';
import { NonFiniteLossError } from './training.ts';

/** An error as it crosses the thread: a structured clone would keep neither class nor facts. */
export interface RemoteError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly facts?: ErrorFacts;
}

/** The classes that the engine throws. */
const CLASSES: Readonly<Record<string, new (facts: ErrorFacts) => DualrealError>> = {
  ArenaLayoutError,
  ArenaSizeError,
  DualrealError,
  EngineError,
  FileFormatError,
  NonFiniteGradientError,
  NonFiniteLossError,
  OptimizerSettingError,
  ShapeError,
};

export function packError(error: unknown): RemoteError {
  if (!(error instanceof Error)) return packError(new Error(String(error)));
  const { name, message, stack } = error;
  if (!(error instanceof DualrealError)) return { name, message, stack };
  const { where, expected, got, hint } = error;
  return { name, message, stack, facts: { where, expected, got, ...(hint && { hint }) } };
}

/** The same error on this side, with the engine's stack as its cause. */
export function reviveError({ name, message, stack, facts }: RemoteError): Error {
  const cause = new Error(`in the engine thread: ${stack ?? message}`);
  if (!facts) return Object.assign(new Error(message, { cause }), { name });
  const known = CLASSES[name];
  if (known) return new known({ ...facts, cause });
  return Object.assign(new DualrealError({ ...facts, cause }), { name });
}
