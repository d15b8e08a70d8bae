import { readdirSync } from 'node:fs';
import type { FloatTensor, HostTensor } from '../tensor/host-tensor.ts';
import { gradients } from './gradient.ts';
import { type OpCases, type OpSample, type SampledLeaf, Sampler } from './op-sampler.cases.ts';
import * as g from './ops/index.ts';
import { type Program, program } from './program.ts';
import { allOps, constantOp, inputOp, type Op, type Value, weightOp } from './value.ts';

const LEAVES: readonly Op[] = [inputOp, weightOp, constantOp] as readonly Op[];

/** The sample generators of all `ops/*.cases.ts`, by op name. */
export async function allCases(): Promise<ReadonlyMap<string, OpCases[string]>> {
  const folder = new URL('./ops/', import.meta.url);
  const all = new Map<string, OpCases[string]>();
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.cases.ts'))) {
    const { cases } = (await import(new URL(file, folder).href)) as { cases?: OpCases };
    for (const [op, generator] of Object.entries(cases ?? {})) {
      if (all.has(op)) throw new Error(`two sample generators for op ${op}`);
      all.set(op, generator);
    }
  }
  return all;
}

/** Ops that compute something: all but the leaves of a graph. */
export function computingOps(): readonly Op[] {
  return allOps().filter((op) => !LEAVES.includes(op));
}

/** Several samples of one op in one program: their results, and gradients of Σ r·y for random r. */
export interface OpTrial {
  readonly samples: readonly (OpSample & { readonly leaves: readonly SampledLeaf[] })[];
  readonly program: Program;
  readonly feeds: Record<string, HostTensor>;
  /** r for each differentiated result, by output name. */
  readonly weightings: ReadonlyMap<string, FloatTensor>;
  /** Differentiable operands that no gradient reached. */
  readonly withoutGradient: readonly string[];
}

/** The name of a sample's result among the trial's outputs. */
export function resultName(sample: number, output: number): string {
  return `result ${sample}.${output}`;
}

export function opTrial(op: Op, generator: OpCases[string], count: number): OpTrial {
  const outputs: Record<string, Value> = {};
  const feeds: Record<string, HostTensor> = {};
  const weightings = new Map<string, FloatTensor>();
  const withoutGradient: string[] = [];
  const samples = Array.from({ length: count }, (_, i) => {
    const sampler = new Sampler(op.name, i);
    const sample = generator(sampler);
    const { leaves } = sampler;
    let loss: Value | undefined;
    for (const [j, { value }] of sample.outputs.entries()) {
      outputs[resultName(i, j)] = value;
      if (!op.backward) continue;
      const weighting = sampler.floats(value.shape, { fixed: true });
      weightings.set(resultName(i, j), weighting.tensor as FloatTensor);
      const term = g.sum(g.mul(value, weighting.value));
      loss = loss ? g.add(loss, term) : term;
    }
    if (loss) withoutGradient.push(...addGradients(outputs, loss, leaves));
    return { ...sample, leaves };
  });
  const traced = program(op.name, outputs);
  for (const { name, tensor } of samples.flatMap(({ leaves }) => leaves)) {
    if (traced.inputs.has(name)) feeds[name] = tensor;
  }
  return { samples, program: traced, feeds, weightings, withoutGradient };
}

/** Gradients for all operands at once, and for each as the only one wanted. */
function addGradients(
  outputs: Record<string, Value>,
  loss: Value,
  leaves: readonly SampledLeaf[],
): readonly string[] {
  const wanted = leaves.filter((leaf) => leaf.differentiable);
  const together = gradients(
    loss,
    wanted.map((leaf) => leaf.value),
  );
  for (const [i, { name, value }] of wanted.entries()) {
    const alone = gradients(loss, [value])[0];
    if (together[i]) outputs[`gradient ${name}`] = together[i];
    if (alone) outputs[`alone ${name}`] = alone;
  }
  return wanted.filter((_, i) => !together[i]).map((leaf) => leaf.name);
}
