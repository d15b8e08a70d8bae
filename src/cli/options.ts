import { InvalidArgumentError } from 'commander';
import type { z } from 'zod';
import { DualrealError } from '../tensor/errors.ts';

/** A number option; refuses text that is not wholly a number. */
export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || Number.isNaN(value)) throw new InvalidArgumentError('not a number');
  return value;
}

/** Collects a repeatable option. */
export function collect(text: string, before: readonly string[] = []): string[] {
  return [...before, text];
}

/** `key=value` pairs; values are JSON where they parse as JSON, else text. */
export function keyValue(
  text: string,
  before: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  const split = text.indexOf('=');
  if (split < 1) throw new InvalidArgumentError('expected key=value');
  const value = text.slice(split + 1);
  try {
    return { ...before, [text.slice(0, split)]: JSON.parse(value) as unknown };
  } catch {
    return { ...before, [text.slice(0, split)]: value };
  }
}

/** A request that does not fit its schema, told by option. */
export class RequestError extends DualrealError {}

/** Parses flags into a request; the first field that does not fit is named as the option it came from. */
export function parseRequest<T>(schema: z.ZodType<T>, flags: Readonly<Record<string, unknown>>): T {
  const parsed = schema.safeParse(flags);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const [field] = issue.path;
  const option = String(field ?? 'request').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new RequestError({
    where: `option --${option}${issue.path.length > 1 ? ` ${issue.path.slice(1).join('.')}` : ''}`,
    expected: 'a valid value',
    got: issue.message,
    hint: 'see dualreal <command> --help',
  });
}
