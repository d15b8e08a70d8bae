import { z } from 'zod';
import { DualrealError } from '../tensor/errors.ts';
import { dreamVideoMethod } from './dreamvideo/method.ts';
import { dreamVideoOptionsSchema } from './dreamvideo/options.ts';
import { dualRealMethod, dualRealMethodSchema } from './dualreal/method.ts';
import { dualRealOptionsSchema } from './dualreal/options.ts';
import { fullMethod } from './full/method.ts';
import { loraMethod } from './lora/method.ts';
import { loraOptionsSchema } from './lora/options.ts';
import type { Method } from './method.ts';
import { motionBoothMethod } from './motionbooth/method.ts';
import { motionBoothOptionsSchema } from './motionbooth/options.ts';

export { type Ablation, ablations } from './ablations.ts';
export type {
  BatchShape,
  InitialSources,
  Method,
  MethodParameter,
  ObjectiveRequest,
  Phase,
  SamplingRequest,
  Stage,
  StageRecipe,
} from './method.ts';
export { latentMask, offsetNoise } from './step-inputs.ts';
export { markPhrase, SubjectWordError } from './subject-tokens.ts';

export const METHOD_NAMES = ['dualreal', 'lora', 'full', 'dreamvideo', 'motionbooth'] as const;

/** What a request may say of a method's options; of DualReal's, differences from a preset. */
export const METHOD_OPTIONS: Readonly<Record<Method['name'], z.ZodType>> = {
  dualreal: dualRealOptionsSchema.partial(),
  lora: loraOptionsSchema,
  full: z.strictObject({}),
  dreamvideo: dreamVideoOptionsSchema,
  motionbooth: motionBoothOptionsSchema,
};

/** Options that a method does not know, or values it cannot have. */
export class MethodOptionsError extends DualrealError {}

/** A method by its name, with options as written in a request or a file; missing ones take their defaults. */
export function openMethod(name: Method['name'], options: unknown): Method {
  switch (name) {
    case 'dualreal':
      return dualRealMethod(parse(name, dualRealMethodSchema, options));
    case 'lora':
      return loraMethod(parse(name, loraOptionsSchema, options));
    case 'full':
      parse(name, METHOD_OPTIONS.full, options);
      return fullMethod();
    case 'dreamvideo':
      return dreamVideoMethod(parse(name, dreamVideoOptionsSchema, options));
    case 'motionbooth':
      return motionBoothMethod(parse(name, motionBoothOptionsSchema, options));
  }
}

function parse<T>(name: string, schema: z.ZodType<T>, options: unknown): T {
  const parsed = schema.safeParse(options);
  if (parsed.success) return parsed.data;
  throw new MethodOptionsError({
    where: `method ${name}`,
    expected: 'options of this method',
    got: parsed.error.issues.map((issue) => `${issue.path.join('.') || 'it'}: ${issue.message}`).join('; '),
  });
}
