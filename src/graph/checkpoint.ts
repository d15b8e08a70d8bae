import { sizeOf } from '../tensor/shape.ts';
import { barrier } from './ops/elementwise.ts';
import { applyAll, isLeaf, type Node, type Value, withRegion } from './value.ts';

/**
 * Gradient checkpointing (Chen et al., "Training deep nets with sublinear memory cost", 2016): values
 * traced inside `trace` are not kept for the backward pass but computed again when it reaches them. A
 * checkpoint inside another one is part of it.
 */
export function checkpoint<T>(trace: () => T): T {
  return withRegion({}, trace);
}

type Operands = Pick<Node, 'inputs' | 'outputs'>;

/**
 * The replay used by one backward walk: given a node, its operands and results as the backward rule may
 * use them. For a node outside every region those are its own; inside one, they are recomputed from the
 * values that enter the region, held back by a barrier on the first gradient that arrives there (without
 * it, common-subexpression elimination would merge the copy with the original and keep it alive).
 */
export function recompute(): (node: Node, incoming: readonly (Value | undefined)[]) => Operands {
  const replays = new Map<object, Replay>();
  return (node, incoming) => {
    const { region } = node;
    if (!region) return node;
    let replay = replays.get(region);
    if (!replay) {
      replay = new Replay(region, incoming.find((gradient) => gradient !== undefined)!);
      replays.set(region, replay);
    }
    return {
      inputs: node.inputs.map((x) => replay.copyOf(x)),
      outputs: node.outputs.map((x) => replay.copyOf(x)),
    };
  };
}

/** The second run of one region's forward computation. */
class Replay {
  private readonly region: object;
  private readonly trigger: Value;
  private readonly copies = new Map<Value, Value>();

  constructor(region: object, trigger: Value) {
    this.region = region;
    this.trigger = trigger;
  }

  copyOf(value: Value): Value {
    let copy = this.copies.get(value);
    if (!copy) {
      if (isLeaf(value.node)) copy = value;
      else if (value.node.region === this.region) copy = this.replayed(value);
      else copy = value.dtype === 'f32' ? barrier(value, this.trigger) : value;
      this.copies.set(value, copy);
    }
    return copy;
  }

  private replayed({ node, index }: Value): Value {
    const inputs = node.inputs.map((operand) => this.copyOf(operand));
    const delayed = inputs.some((copy, i) => copy !== node.inputs[i]) ? inputs : this.heldBack(node);
    const outputs = delayed ? applyAll(node.op, delayed, node.attributes) : node.outputs;
    for (const [i, original] of node.outputs.entries()) this.copies.set(original, outputs[i]);
    return outputs[index];
  }

  /**
   * Operands for a node that would otherwise be computed from leaves alone: the smallest is held back. None
   * where that costs more than keeping the result, as for a look-up in a large table.
   */
  private heldBack({ inputs, outputs }: Node): Value[] | undefined {
    const sizes = inputs.map((operand) => (operand.dtype === 'f32' ? sizeOf(operand.shape) : Infinity));
    const smallest = Math.min(...sizes);
    if (smallest > sizeOf(outputs[0].shape)) return undefined;
    return inputs.with(sizes.indexOf(smallest), barrier(inputs[sizes.indexOf(smallest)], this.trigger));
  }
}
