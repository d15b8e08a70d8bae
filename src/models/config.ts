import type { z } from 'zod';
import { DualrealError } from '../tensor/errors.ts';

/** A field of a model's config.json that this project does not know or cannot honour. */
export class UnsupportedConfigError extends DualrealError {}

/**
 * Parses a model's config.json. Throws {@link UnsupportedConfigError} naming every field that is unknown,
 * missing, or has a value outside the implemented family, with the value it has.
 */
export function parseModelConfig<T>(schema: z.ZodType<T>, json: unknown, where: string, family: string): T {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const { issues } = parsed.error;
  const fields = [...new Set(issues.flatMap(fieldsOf))];
  throw new UnsupportedConfigError({
    where: fields.length ? `${where}, field ${fields.join(', ')}` : where,
    expected: family,
    got: issues.map((issue) => describeIssue(issue, json)).join('; '),
  });
}

function fieldsOf(issue: z.core.$ZodIssue): string[] {
  const path = issue.path.join('.');
  if (issue.code !== 'unrecognized_keys') return path === '' ? [] : [path];
  return issue.keys.map((key) => (path === '' ? key : `${path}.${key}`));
}

function describeIssue(issue: z.core.$ZodIssue, json: unknown): string {
  if (issue.code === 'unrecognized_keys' || issue.path.length === 0) return issue.message;
  let value = json;
  for (const key of issue.path) value = (value as Record<PropertyKey, unknown> | undefined)?.[key];
  const shown = JSON.stringify(value) ?? 'nothing';
  return `${shown.length > 60 ? `${shown.slice(0, 60)}…` : shown} (${issue.message})`;
}
