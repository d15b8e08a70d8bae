import * as g from '../../graph/index.ts';
import type { Program } from '../../graph/program.ts';
import { applyAll, constantOp, type Value } from '../../graph/value.ts';
import { hostTensor } from '../../tensor/host-tensor.ts';
import type { AdamWSettings } from '../optimizer/adamw.ts';
import { GRADIENT_PREFIX } from '../training.ts';
import { type DeviceLayout, packed, ROW, unpacked } from './layout.ts';

/** Inputs and outputs of step programs besides their own. */
export const PARAMETERS = 'device.parameters';
export const GRADIENTS = 'device.gradients';
export const NEXT_GRADIENTS = 'device.next.gradients';

/** What the optimizer keeps on the device; `average` only where a moving average is kept. */
export const PLANES = ['parameters', 'first', 'second', 'average'] as const;
export type Plane = (typeof PLANES)[number];
export const planesOf = (averages: boolean): readonly Plane[] => (averages ? PLANES : PLANES.slice(0, 3));

/** Columns of the coefficients of a tensor in one step. */
export const COEFFICIENTS = ['active', 'decay', 'rate', 'inverseRoot'] as const;

/**
 * The same program with its trainable inputs taken out of one buffer, and its gradients added up into
 * another: `device.parameters` [R, 64] and `device.gradients` [R, 64] → `device.next.gradients`.
 */
export function deviceProgram(traced: Program, layout: DeviceLayout): Program {
  const flat = g.reshape(g.input(PARAMETERS, [layout.rows, ROW]), [layout.rows * ROW]);
  const copies = new Map<Value, Value>();
  for (const tensor of layout.tensors) {
    const original = traced.inputs.get(tensor.name);
    if (original) copies.set(original, unpacked(flat, tensor));
  }
  const copyOf = (value: Value): Value => copies.get(value) ?? value;
  for (const node of traced.nodes) {
    if (node.op === constantOp) continue;
    const outputs = applyAll(node.op, node.inputs.map(copyOf), node.attributes);
    for (const [i, original] of node.outputs.entries()) copies.set(original, outputs[i]);
  }
  const outputs: Record<string, Value> = {};
  const gradients = new Map<string, Value>();
  for (const [name, value] of traced.outputs) {
    if (name.startsWith(GRADIENT_PREFIX)) gradients.set(name.slice(GRADIENT_PREFIX.length), copyOf(value));
    else outputs[name] = copyOf(value);
  }
  if (gradients.size > 0) {
    const own = packed(layout, (name) => gradients.get(name));
    outputs[NEXT_GRADIENTS] = g.add(g.input(GRADIENTS, own.shape), own);
  }
  return g.program(traced.name, outputs);
}

/**
 * One AdamW update of everything (see optimizer/adamw.ts, whose rules it follows): the planes and the summed
 * gradients, `gradientScale` (1 / micro-batches) and `coefficients` [T, 4] of each tensor →
 * `next.<plane>`, `gradientNorm` and `clippedBy`.
 */
export function updateProgram(
  layout: DeviceLayout,
  { betas, epsilon, maxGradientNorm }: AdamWSettings,
  averageDecay: number | undefined,
): Program {
  const shape = [layout.rows, ROW];
  const plane = (name: Plane) => g.input(name, shape);
  const rowOwners = new BigInt64Array(layout.rows);
  for (const [i, { row, rows }] of layout.tensors.entries()) rowOwners.fill(BigInt(i), row, row + rows);
  const table = g.input('coefficients', [layout.tensors.length, COEFFICIENTS.length]);
  const perRow = g.gather(table, g.constant(hostTensor('i64', [layout.rows], rowOwners))); // [R, 4]
  const [active, decay, rate, inverseRoot] = g.chunk(perRow, 1, COEFFICIENTS.length); // [R, 1] each
  const learns = g.less(0, active);

  const mean = g.where(learns, g.mul(g.input(GRADIENTS, shape), g.input('gradientScale', [])), 0);
  const norm = g.sqrt(g.sum(g.sum(g.square(mean), [1]), [0]));
  const clip =
    maxGradientNorm === undefined
      ? g.add(g.mul(norm, 0), 1)
      : g.minimum(g.div(maxGradientNorm, g.add(norm, 1e-6)), 1);
  const gradient = g.mul(mean, clip);
  const blend = (old: Value, beta: number, value: Value) =>
    g.where(learns, g.add(g.mul(old, beta), g.mul(value, 1 - beta)), old);
  const [before, first, second] = [plane('parameters'), plane('first'), plane('second')];
  const nextFirst = blend(first, betas[0], gradient);
  const nextSecond = blend(second, betas[1], g.square(gradient));
  const direction = g.div(nextFirst, g.add(g.mul(g.sqrt(nextSecond), inverseRoot), epsilon));
  const after = g.where(learns, g.add(g.mul(before, decay), g.mul(rate, direction)), before);
  return g.program('adamw on the device', {
    'next.parameters': after,
    'next.first': nextFirst,
    'next.second': nextSecond,
    ...(averageDecay !== undefined && {
      'next.average': g.add(g.mul(plane('average'), averageDecay), g.mul(after, 1 - averageDecay)),
    }),
    gradientNorm: norm,
    clippedBy: clip,
  });
}

/** x · factor: brings a plane onto the device, makes zeros there, and brings it back. */
export function moveProgram({ rows }: DeviceLayout): Program {
  return g.program('move', { moved: g.mul(g.input('plane', [rows, ROW]), g.input('factor', [])) });
}
