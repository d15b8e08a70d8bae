import { DualrealError } from '../tensor/errors.ts';
import { formatShape } from '../tensor/shape.ts';
import {
  type ConstantAttributes,
  constantOp,
  inputOp,
  isLeaf,
  type LeafAttributes,
  type Node,
  type Value,
  type ValueType,
  weightOp,
} from './value.ts';

/** A traced computation: everything that the outputs need, and nothing else. */
export interface Program {
  readonly name: string;
  readonly inputs: ReadonlyMap<string, Value>;
  /** Frozen tensors, bound when the program is compiled. */
  readonly weights: ReadonlyMap<string, Value>;
  readonly outputs: ReadonlyMap<string, Value>;
  /** All nodes but inputs and weights, operands first. */
  readonly nodes: readonly Node[];
}

/** Collects what `outputs` depend on. Leaves and outputs of one name must be one value. */
export function program(name: string, outputs: Readonly<Record<string, Value>>): Program {
  const refuse = (expected: string, got: string) =>
    new DualrealError({ where: `program ${name}`, expected, got });
  const reached = new Set<Node>();
  const stack = Object.values(outputs).map((value) => value.node);
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (reached.has(node)) continue;
    reached.add(node);
    for (const operand of node.inputs) stack.push(operand.node);
  }
  const inputs = new Map<string, Value>();
  const weights = new Map<string, Value>();
  const nodes: Node[] = [];
  for (const node of [...reached].sort((a, b) => a.id - b.id)) {
    const table = node.op === inputOp ? inputs : node.op === weightOp ? weights : undefined;
    if (!table) {
      nodes.push(node);
      continue;
    }
    const leaf = (node.attributes as LeafAttributes).name;
    if (inputs.has(leaf) || weights.has(leaf)) throw refuse('one leaf of each name', `two of ${leaf}`);
    table.set(leaf, node.outputs[0]);
  }
  for (const [output, value] of Object.entries(outputs)) {
    const leaf = inputs.get(output) ?? weights.get(output);
    if (leaf && leaf !== value) throw refuse('outputs named unlike its leaves', `an output named ${output}`);
  }
  for (const given of [...inputs.keys(), ...weights.keys(), ...Object.keys(outputs)]) {
    if (/^%\d|^$/.test(given)) throw refuse('names that do not look like %0', JSON.stringify(given));
  }
  return { name, inputs, weights, outputs: new Map(Object.entries(outputs)), nodes };
}

/** A type as programs print it: f32[2, 3]. */
export function formatType({ dtype, shape }: ValueType): string {
  return `${dtype}${formatShape(shape)}`;
}

function formatAttributes(node: Node): string {
  if (node.op === constantOp) {
    const { tensor } = node.attributes as ConstantAttributes;
    return tensor.data.length <= 4
      ? ` {${Array.from(tensor.data as ArrayLike<number | bigint>).join(', ')}}`
      : '';
  }
  const fields = Object.entries(node.attributes).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  return fields.length ? ` {${fields.join(' ')}}` : '';
}

/** One line per node, stable between runs: what snapshots pin. */
export function printProgram(traced: Program): string {
  const names = new Map<Value, string>();
  const lines: string[] = [`program ${traced.name}`];
  for (const [kind, table] of [
    ['input', traced.inputs],
    ['weight', traced.weights],
  ] as const) {
    for (const [leaf, value] of table) {
      names.set(value, leaf);
      lines.push(`  ${kind} ${leaf}: ${formatType(value)}`);
    }
  }
  let next = 0;
  for (const node of traced.nodes) {
    for (const output of node.outputs) names.set(output, `%${next++}`);
    const results = node.outputs.map((output) => `${names.get(output)}: ${formatType(output)}`).join(', ');
    const operands = node.inputs.map((operand) => names.get(operand)).join(', ');
    lines.push(`  ${results} = ${node.op.name}(${operands})${formatAttributes(node)}`);
  }
  for (const [output, value] of traced.outputs) lines.push(`  output ${output} = ${names.get(value)}`);
  return `${lines.join('\n')}\n`;
}

/**
 * The order in which nodes are written, which decides the order in which onnxruntime runs them, and with it
 * how long each result is kept. It goes depth-first backwards, from the last node that nobody consumes and
 * at each node into the operand written last. So nodes are written by depth (longest path from a leaf): of a
 * gradient and a factor that depends on forward values alone, the gradient comes first, and the factor is
 * not computed long before its use. Nodes that nobody consumes come last, in reverse order of tracing: each
 * gradient is finished, and what it needs is freed, as soon as it can be (docs/performance.md).
 */
export function executionOrder(traced: Program): readonly Node[] {
  const consumed = new Set<Node>();
  const depths = new Map<Node, number>();
  for (const node of traced.nodes) {
    for (const operand of node.inputs) consumed.add(operand.node);
    const below = node.inputs.map((operand) => depths.get(operand.node) ?? 0);
    depths.set(node, 1 + Math.max(0, ...below));
  }
  const inner = traced.nodes.filter((node) => consumed.has(node) || isLeaf(node));
  const ends = traced.nodes.filter((node) => !consumed.has(node) && !isLeaf(node));
  inner.sort((a, b) => depths.get(a)! - depths.get(b)! || a.id - b.id);
  return [...inner, ...ends.reverse()];
}
