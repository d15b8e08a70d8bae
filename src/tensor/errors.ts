/** The facts every error of this project carries, so that a person can act on it. */
export interface ErrorFacts {
  /** Where it happened: a file, a tensor, a node, an option. */
  readonly where: string;
  readonly expected: string;
  readonly got: string;
  /** What the user can do about it, where there is something. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** Base of all errors thrown on purpose: says where, what was expected, what was got, and a hint. */
export class DualrealError extends Error {
  readonly where: string;
  readonly expected: string;
  readonly got: string;
  readonly hint: string | undefined;

  constructor(facts: ErrorFacts) {
    const hint = facts.hint ? `\n  hint: ${facts.hint}` : '';
    super(`${facts.where}: expected ${facts.expected}, got ${facts.got}${hint}`, { cause: facts.cause });
    this.name = new.target.name;
    this.where = facts.where;
    this.expected = facts.expected;
    this.got = facts.got;
    this.hint = facts.hint;
  }
}

/** Shapes or dtypes that do not fit together. */
export class ShapeError extends DualrealError {}

/** A file whose bytes break its format's rules. Nothing of it was used. */
export class FileFormatError extends DualrealError {}

/** The user (or the program on their behalf) cancelled through an AbortSignal. */
export class CancelledError extends Error {
  constructor(what: string) {
    super(`${what} was cancelled`);
    this.name = 'CancelledError';
  }
}

/** Throws {@link CancelledError} when the signal has fired. */
export function throwIfCancelled(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted) throw new CancelledError(what);
}
