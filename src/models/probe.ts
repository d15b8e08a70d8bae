import type { Value } from '../graph/index.ts';

/** Sees intermediate values while a model is traced; parity tests make them outputs. */
export type Probe = (name: string, value: Value) => void;
