import { DualrealError } from '../tensor/errors.ts';

/** A benchmark that cannot be settled, gone on with, or read. */
export class BenchmarkError extends DualrealError {}
