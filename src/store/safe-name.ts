import { DualrealError } from '../tensor/errors.ts';
import { quoteBriefly } from '../tensor/strict-json.ts';

/** A name from outside that must not become part of a path. */
export class UnsafeNameError extends DualrealError {}

const NAME = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9_-])?$/;
/** Windows opens devices under these names, whatever the extension. */
const DEVICE = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/;

/**
 * The name itself, if it is safe as a single file name on every system: 1 to 64 of a–z 0–9 . _ -, no dot at
 * either end, no device name. Upper case is refused because some file systems ignore case. Throws
 * {@link UnsafeNameError}.
 */
export function requireSafeName(name: unknown, where: string): string {
  if (typeof name === 'string' && NAME.test(name) && !DEVICE.test(name)) return name;
  throw new UnsafeNameError({
    where,
    expected: 'a name of 1 to 64 characters a–z, 0–9, dot, underscore and hyphen',
    got: quoteBriefly(name),
  });
}
