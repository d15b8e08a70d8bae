import { DualrealError } from '../tensor/errors.ts';

/** Frames, encoders or numbers that a metric cannot be taken of. */
export class MetricError extends DualrealError {}

export type Settings = Readonly<Record<string, string | number | boolean>>;

/** What looked at the pixels for a metric. A number means nothing without it, so it is part of the number. */
export interface EncoderIdentity {
  /** Model family or algorithm: `clip`, `open-clip`, `dino`, `raft`, `farneback`, … */
  readonly name: string;
  /** Where it comes from, for people: the folder of its weights, or a library and its version. */
  readonly source: string;
  /** SHA-256 of its weights, hexadecimal; absent for algorithms that have none. */
  readonly hash?: string;
  /** Everything else that changes what it gives. */
  readonly settings: Settings;
}

export const METRIC_NAMES = [
  'clip-t',
  'clip-i',
  'dino-i',
  't-cons',
  'motion-smoothness',
  'temporal-flickering',
  'dynamic-degree',
  'dynamic-degree-vbench',
  'dynamic-degree-deviation',
  'motion-fidelity',
] as const;

export type MetricName = (typeof METRIC_NAMES)[number];

/** One measured number, with all that is needed to compare it with another. */
export interface MetricValue {
  readonly metric: MetricName;
  readonly value: number;
  readonly encoder: EncoderIdentity;
  /** What the measurement depends on besides the encoder: sizes, steps, thresholds. */
  readonly settings: Settings;
}

/** Stands in for an encoder where a metric compares pixels as they are. */
export const PLAIN_PIXELS: EncoderIdentity = { name: 'pixels', source: '8-bit RGB', settings: {} };

export function sameEncoder(a: EncoderIdentity, b: EncoderIdentity): boolean {
  const key = ({ name, source, hash, settings }: EncoderIdentity) => [
    name,
    hash ?? source,
    ordered(settings),
  ];
  return JSON.stringify(key(a)) === JSON.stringify(key(b));
}

export function requireSameEncoder(where: string, a: EncoderIdentity, b: EncoderIdentity): void {
  if (sameEncoder(a, b)) return;
  throw new MetricError({
    where,
    expected: `both sides measured by ${describeEncoder(a)}`,
    got: describeEncoder(b),
    hint: 'numbers of different encoders cannot be compared',
  });
}

/** Whether two numbers were measured in the same way: metric, encoder and settings. */
export function isComparable(a: MetricValue, b: MetricValue): boolean {
  return (
    a.metric === b.metric &&
    sameEncoder(a.encoder, b.encoder) &&
    JSON.stringify(ordered(a.settings)) === JSON.stringify(ordered(b.settings))
  );
}

function ordered(settings: Settings): [string, string | number | boolean][] {
  return Object.entries(settings).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** One line: `clip (weights/toybox/image_encoder, 3f0c9a1b2c4d; side 64, dim 128)`. */
export function describeEncoder({ name, source, hash, settings }: EncoderIdentity): string {
  const origin = hash === undefined ? source : `${source}, ${hash.slice(0, 12)}`;
  const details = describeSettings(settings);
  return `${name} (${details === '' ? origin : `${origin}; ${details}`})`;
}

/** `frameStep 1, width 64`. */
export function describeSettings(settings: Settings): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
}
