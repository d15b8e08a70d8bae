import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import type { TransformerHooks } from '../../models/cogvideox/transformer/index.ts';
import type { ParameterScope } from '../../nn/parameters.ts';
import type { LoraLayer } from './options.ts';

/** Low-rank updates under one name; several sets of them can be at work together. */
export interface LoraAdapter {
  readonly name: string;
  /** By the path of the linear layer. */
  readonly layers: ReadonlyMap<string, LoraLayer>;
}

/** The parameter A or B of a layer's update, as peft calls it in a model. */
export function loraParameter(path: string, matrix: 'A' | 'B', name: string): string {
  return `${path}.lora_${matrix}.${name}.weight`;
}

const PARAMETER = /\.lora_[AB]\.([a-z]+)\.weight$/;

/** The adapter that a parameter belongs to. */
export function loraAdapterOf(path: string): string | undefined {
  return PARAMETER.exec(path)?.[1];
}

/**
 * W·x + b + Σ scale·B·A·x over the adapters, on attention's linear layers (Hu et al., "LoRA: low-rank
 * adaptation of large language models", 2021). A is [r, in], B [out, r].
 */
export function injectLora(root: ParameterScope, adapters: readonly LoraAdapter[]): TransformerHooks {
  return {
    afterProjection: (path, output, operand) => {
      let sum = output;
      for (const { name, layers } of adapters) {
        const layer = layers.get(path);
        if (layer) sum = addUpdate(root.at(path), name, layer, sum, operand);
      }
      return sum;
    },
  };
}

function addUpdate(
  scope: ParameterScope,
  name: string,
  { rank, scale }: LoraLayer,
  output: Value,
  operand: Value,
): Value {
  const [batch, tokens, out] = output.shape;
  const down = scope.at('lora_A', name).get('weight', [rank, operand.shape[2]]);
  const up = scope.at('lora_B', name).get('weight', [out, rank]);
  const hidden = g.reshape(g.linear(operand, down), [batch * tokens, rank]);
  const scaled = scale === 1 ? hidden : g.mul(hidden, scale);
  // The product takes the output in as its addend: no further pass over [B·T, out].
  const sum = g.gemm(scaled, up, { transposeB: true }, g.reshape(output, [batch * tokens, out]));
  return g.reshape(sum, output.shape);
}
