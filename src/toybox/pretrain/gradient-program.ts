import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import type { Parameters } from '../../nn/parameters.ts';
import { GRADIENT_PREFIX } from '../../runtime/index.ts';

/** The program of one training step: `outputs` (with `loss`) and the gradient of every trainable parameter. */
export function gradientProgram(
  name: string,
  parameters: Parameters,
  outputs: Readonly<Record<string, Value>> & { readonly loss: Value },
): g.Program {
  const learned = [...parameters.declared].filter(([, { trainable }]) => trainable);
  const found = g.gradients(
    outputs.loss,
    learned.map(([, { value }]) => value),
  );
  const all: Record<string, Value> = { ...outputs };
  for (const [i, [path]] of learned.entries()) {
    const gradient = found[i];
    if (gradient) all[GRADIENT_PREFIX + path] = gradient;
  }
  return g.program(name, all);
}
