import type { TransformerConfig } from '../../models/cogvideox/transformer/index.ts';
import { ShapeError } from '../../tensor/errors.ts';
import { asFloats, type FloatTensor, floats, type HostTensor } from '../../tensor/host-tensor.ts';
import { randomStream } from '../../tensor/random.ts';
import { formatShape, type Shape, sameShape, sizeOf } from '../../tensor/shape.ts';
import { loraParameter } from './inject.ts';
import { LORA_TARGETS, type LoraLayer, type LoraOptions, loraLayers } from './options.ts';

/** The update of one linear layer: scale·B·A. */
export interface LoraModule {
  /** A [r, in]. */
  readonly down: HostTensor;
  /** B [out, r]. */
  readonly up: HostTensor;
  readonly scale: number;
}

/** A set of low-rank updates, by the path of the linear layer. */
export type Lora = ReadonlyMap<string, LoraModule>;

const HOOKED = new RegExp(`^transformer_blocks\\.\\d+\\.attn1\\.(${LORA_TARGETS.join('|')})$`);

/** Whether hooks reach every layer of a set. */
export function isHooked(lora: Lora): boolean {
  return [...lora.keys()].every((path) => HOOKED.test(path));
}

/**
 * The layers of a set for {@link injectLora}, each multiplied by `weight`. Throws {@link ShapeError} listing
 * layers that hooks do not reach.
 */
export function layersOf(lora: Lora, weight = 1): ReadonlyMap<string, LoraLayer> {
  const others = [...lora.keys()].filter((path) => !HOOKED.test(path));
  if (others.length > 0) {
    throw new ShapeError({
      where: 'LoRA',
      expected: `updates of attention's linear layers (${LORA_TARGETS.join(', ')})`,
      got: others.join(', '),
      hint: 'fuse it into the weights instead',
    });
  }
  return new Map(
    [...lora].map(([path, { down, scale }]) => [path, { rank: down.shape[0], scale: scale * weight }]),
  );
}

/** A set's matrices under the names that {@link injectLora} asks for. */
export function loraTensors(lora: Lora, name: string): Map<string, HostTensor> {
  return new Map(
    [...lora].flatMap(([path, { down, up }]) => [
      [loraParameter(path, 'A', name), down] as const,
      [loraParameter(path, 'B', name), up] as const,
    ]),
  );
}

/** The set trained under `name`, out of all trained tensors. */
export function loraOf(
  tensors: ReadonlyMap<string, HostTensor>,
  name: string,
  config: TransformerConfig,
  options: LoraOptions,
): Lora {
  return new Map(
    [...loraLayers(config, options)].map(([path, { scale }]) => {
      const [down, up] = (['A', 'B'] as const).map((matrix) => {
        const parameter = loraParameter(path, matrix, name);
        const tensor = tensors.get(parameter);
        if (tensor) return tensor;
        throw new ShapeError({ where: `LoRA ${name}`, expected: parameter, got: 'no tensor of that name' });
      });
      return [path, { down, up, scale }];
    }),
  );
}

/**
 * peft's initial state: A uniform in ±1/√in (kaiming-uniform with a = √5), B zero, so that the model starts
 * as it is. Each tensor depends only on the seed and its name.
 */
export function initialLora(
  declared: ReadonlyMap<string, { readonly shape: Shape }>,
  seed: number,
): Map<string, FloatTensor> {
  return new Map(
    [...declared].map(([name, { shape }]) => {
      const values = new Float32Array(sizeOf(shape));
      if (name.includes('.lora_A.')) {
        const stream = randomStream(seed, 'init', name);
        const bound = 1 / Math.sqrt(shape[1]);
        for (let i = 0; i < values.length; i++) values[i] = (2 * stream.uniform() - 1) * bound;
      }
      return [name, floats(shape, values)];
    }),
  );
}

/**
 * The weights W + Σ weight·scale·B·A of every layer that the sets update, in f64 and rounded once. `weights`
 * holds at least those, as `<path>.weight` [out, in]; throws {@link ShapeError} listing what does not fit.
 */
export function fuseLora(
  weights: ReadonlyMap<string, HostTensor>,
  sets: readonly { readonly lora: Lora; readonly weight?: number }[],
): Map<string, FloatTensor> {
  for (const { lora } of sets) requireLoraFits('LoRA', lora, weights);
  const fused = new Map<string, FloatTensor>();
  for (const path of new Set(sets.flatMap(({ lora }) => [...lora.keys()]))) {
    const base = asFloats(weights.get(`${path}.weight`)!);
    const sum = Float64Array.from(base.data);
    for (const { lora, weight = 1 } of sets) {
      const module = lora.get(path);
      if (module) addProduct(sum, module, weight);
    }
    fused.set(`${path}.weight`, floats(base.shape, Float32Array.from(sum)));
  }
  return fused;
}

/** Throws {@link ShapeError} listing every update whose layer is missing or of another size. */
export function requireLoraFits(
  where: string,
  lora: Lora,
  weights: ReadonlyMap<string, { readonly shape: Shape }>,
): void {
  const problems: string[] = [];
  for (const [path, { down, up }] of lora) {
    const update = [up.shape[0], down.shape[1]];
    const layer = weights.get(`${path}.weight`);
    if (!layer) problems.push(`${path}, which the base does not have`);
    else if (!sameShape(layer.shape, update)) {
      problems.push(`${path} ${formatShape(update)} for a layer ${formatShape(layer.shape)}`);
    }
  }
  if (problems.length === 0) return;
  throw new ShapeError({
    where,
    expected: 'updates of layers of the base',
    got: problems.join('; '),
    hint: 'use the base that the LoRA was trained on',
  });
}

/**
 * The sum of several sets as one: per layer A's on top of each other [Σr, in], B's side by side [out, Σr] with
 * their scales in them.
 */
export function joinLoras(sets: readonly Lora[]): Lora {
  const layers = new Set(sets.flatMap((lora) => [...lora.keys()]));
  return new Map(
    [...layers].map((path) => {
      const modules = sets.flatMap((lora) => lora.get(path) ?? []);
      return [path, modules.length === 1 ? modules[0] : joined(modules)] as const;
    }),
  );
}

function joined(modules: readonly LoraModule[]): LoraModule {
  const rank = modules.reduce((sum, { down }) => sum + down.shape[0], 0);
  const [inner, out] = [modules[0].down.shape[1], modules[0].up.shape[0]];
  const down = new Float32Array(rank * inner);
  const up = new Float32Array(out * rank);
  let first = 0;
  for (const { down: a, up: b, scale } of modules) {
    const own = a.shape[0];
    down.set(asFloats(a).data, first * inner);
    const values = asFloats(b).data;
    for (let row = 0; row < out; row++) {
      for (let r = 0; r < own; r++) up[row * rank + first + r] = scale * values[row * own + r];
    }
    first += own;
  }
  return { down: floats([rank, inner], down), up: floats([out, rank], up), scale: 1 };
}

/** sum [out, in] += weight·scale·B·A. */
function addProduct(sum: Float64Array, { down, up, scale }: LoraModule, weight: number): void {
  const [rank, inner] = down.shape;
  const [a, b] = [asFloats(down).data, asFloats(up).data];
  for (let row = 0; row < up.shape[0]; row++) {
    const target = sum.subarray(row * inner, (row + 1) * inner);
    for (let r = 0; r < rank; r++) {
      const factor = weight * scale * b[row * rank + r];
      for (let column = 0; column < inner; column++) target[column] += factor * a[r * inner + column];
    }
  }
}
