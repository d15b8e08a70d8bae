import { type FloatTensor, zeros } from '../../tensor/host-tensor.ts';
import { randomStream } from '../../tensor/random.ts';
import { type Shape, sizeOf } from '../../tensor/shape.ts';

const ZERO =
  /(\.up_linear\.(weight|bias)|^controller\.fusion_net\.3\.(weight|bias)|^controller\.norm\.bias)$/;

/**
 * The release's initial state: Up projections and the controller's last layer zero (so that every share
 * starts at its middle), everything else torch's default for Linear, U(±1/√in). Each tensor depends only
 * on the seed and its own name.
 */
export function initialParameters(
  declared: ReadonlyMap<string, { readonly shape: Shape }>,
  seed: number,
): Map<string, FloatTensor> {
  const values = new Map<string, FloatTensor>();
  for (const [name, { shape }] of declared) {
    const tensor = zeros('f32', shape);
    if (name === 'controller.norm.weight') tensor.data.fill(1);
    else if (!ZERO.test(name)) {
      const stream = randomStream(seed, 'init', name);
      const bound = 1 / Math.sqrt(fanIn(name, declared));
      for (let i = 0; i < sizeOf(shape); i++) tensor.data[i] = (2 * stream.uniform() - 1) * bound;
    }
    values.set(name, tensor);
  }
  return values;
}

/** Inputs of the Linear layer that a weight or bias belongs to. */
function fanIn(name: string, declared: ReadonlyMap<string, { readonly shape: Shape }>): number {
  const weight = declared.get(name.replace(/\.bias$/, '.weight'))!;
  return weight.shape[1];
}
