import { InvalidArgumentError } from 'commander';
import type { z } from 'zod';
import { DualrealError } from '../tensor/errors.ts';

/** A number option; refuses text that is not wholly a number. */
export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || Number.isNaN(value)) throw new InvalidArgumentError('It is not a number.');
  return value;
}

/** A frame rate: a number, or 'native'. */
export function frameRate(text: string): number | 'native' {
  return text === 'native' ? text : number(text);
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
  if (split < 1) throw new InvalidArgumentError('It should be key=value.');
  const value = text.slice(split + 1);
  try {
    return { ...before, [text.slice(0, split)]: JSON.parse(value) as unknown };
  } catch {
    return { ...before, [text.slice(0, split)]: value };
  }
}

/** A request that does not fit its schema, told by option. */
export class RequestError extends DualrealError {}

/** Options whose flag is not the field's name with hyphens. */
const FLAGS: Readonly<Record<string, string>> = {
  options: 'option',
  stageLearningRates: 'stage-learning-rate',
  groupRates: 'group-rate',
  prompts: 'prompt',
  samplePrompts: 'sample-prompt',
};

/** Parses flags into a request; the first field that does not fit is named as the option it came from. */
export function parseRequest<T>(schema: z.ZodType<T>, flags: Readonly<Record<string, unknown>>): T {
  const parsed = schema.safeParse(flags, { reportInput: true });
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const [field, ...inside] = issue.path.map(String);
  if (field === undefined && issue.code === 'custom') {
    throw new RequestError({ where: 'the options', expected: issue.message, got: 'other ones', hint: HELP });
  }
  const option = field === undefined ? 'the options' : `option --${flagOf(field)}`;
  const where = inside.length > 0 ? `${option} ${inside.join('.')}` : option;
  if (issue.input === undefined && issue.code !== 'unrecognized_keys') {
    throw new RequestError({ where, expected: 'to be given', got: 'nothing', hint: HELP });
  }
  if (issue.code === 'unrecognized_keys') {
    throw new RequestError({
      where,
      expected: 'a known name',
      got: issue.keys.map((key) => JSON.stringify(key)).join(', '),
      hint: HELP,
    });
  }
  const got = JSON.stringify(issue.input);
  throw new RequestError({ where, expected: expectedBy(issue), got, hint: HELP });
}

const HELP = 'see dualreal <command> --help';

/** The flag of a request's field: `motionRatio` → `motion-ratio`. */
export function flagOf(field: string): string {
  return FLAGS[field] ?? field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** What would have been right, in words. */
function expectedBy(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_value':
      return `one of ${issue.values.map(String).join(', ')}`;
    case 'too_small':
      if (issue.origin === 'string' || issue.origin === 'array') return 'something';
      return `a number ${issue.inclusive ? 'of at least' : 'above'} ${issue.minimum}`;
    case 'too_big':
      return `a number of at most ${issue.maximum}`;
    case 'invalid_type':
      return issue.expected === 'int' ? 'a whole number' : `a ${issue.expected}`;
    default:
      return issue.message;
  }
}
