import { sizeOf } from '../tensor/shape.ts';
import { barrier } from './ops/elementwise.ts';
import { applyAll, constantOp, isLeaf, type Node, type Value, weightOp, withRegion } from './value.ts';

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
 * values that enter the region, held back by barriers on the first gradient that arrives there (without
 * them, common-subexpression elimination would merge the copy with the original and keep it alive).
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
    const { node, index } = value;
    if (node.region !== this.region || isLeaf(node)) return value;
    const known = this.copies.get(value);
    if (known) return known;
    const inputs = node.inputs.map((operand) => this.copyOf(operand));
    const isLate = inputs.some((copy, i) => copy !== node.inputs[i]);
    const late = isLate ? inputs : this.heldBack(node);
    const outputs = late ? applyAll(node.op, late, node.attributes) : node.outputs;
    for (const [i, original] of node.outputs.entries()) this.copies.set(original, outputs[i]);
    return outputs[index];
  }

  /**
   * The operands of a node that sees only what entered the region, with the smallest that can be held back
   * behind the trigger. Undefined where that is more than the result, which is then better kept.
   */
  private heldBack({ inputs, outputs }: Node): Value[] | undefined {
    // A frozen weight must stay one, to be prepared for its products when the program is compiled.
    const sizes = inputs.map(({ node, dtype, shape }) =>
      dtype === 'f32' && node.op !== weightOp && node.op !== constantOp ? sizeOf(shape) : Infinity,
    );
    const smallest = Math.min(...sizes);
    if (smallest > sizeOf(outputs[0].shape)) return undefined;
    const chosen = sizes.indexOf(smallest);
    return inputs.with(chosen, barrier(inputs[chosen], this.trigger));
  }
}
