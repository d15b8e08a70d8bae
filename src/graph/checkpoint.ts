import { barrier } from './ops/elementwise.ts';
import { applyAll, isLeaf, type Node, type Value, withRegion } from './value.ts';

/**
 * Gradient checkpointing (Chen et al., "Training deep nets with sublinear memory cost", 2016): values
 * traced inside `trace` are not kept for the backward pass but computed again when it reaches them.
 * Regions must not nest.
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
  const triggers = new Map<object, Value>();
  const copies = new Map<Value, Value>();

  const copyOf = (value: Value, region: object, trigger: Value): Value => {
    const known = copies.get(value);
    if (known) return known;
    if (value.node.region !== region) {
      const entering = isLeaf(value.node) || value.dtype !== 'f32' ? value : barrier(value, trigger);
      copies.set(value, entering);
      return entering;
    }
    const inputs = value.node.inputs.map((operand) => copyOf(operand, region, trigger));
    const outputs = applyAll(value.node.op, inputs, value.node.attributes);
    for (const [i, original] of value.node.outputs.entries()) copies.set(original, outputs[i]);
    return outputs[value.index];
  };

  let currentRegion: object | undefined;
  return (node, incoming) => {
    const { region } = node;
    if (!region) return node;
    if (region !== currentRegion) {
      // Another region's copies of shared entering values hang on another trigger.
      copies.clear();
      currentRegion = region;
    }
    let trigger = triggers.get(region);
    if (!trigger) {
      trigger = incoming.find((gradient) => gradient !== undefined)!;
      triggers.set(region, trigger);
    }
    const late = trigger;
    return {
      inputs: node.inputs.map((operand) => copyOf(operand, region, late)),
      outputs: node.outputs.map((output) => copyOf(output, region, late)),
    };
  };
}
