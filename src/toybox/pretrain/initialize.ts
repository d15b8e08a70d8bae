import { floats, type HostTensor } from '../../tensor/host-tensor.ts';
import { randomStream } from '../../tensor/random.ts';
import { type Shape, sizeOf } from '../../tensor/shape.ts';

/** First values of the parameters whose names match: a standard deviation, or one constant. */
export type InitialRule = readonly [
  names: RegExp,
  values: { readonly std: number } | { readonly constant: number },
];

/** Gains of norms are 1 and biases 0; everything else is a matrix or a kernel [out, ...in]. */
const COMMON_RULES: readonly InitialRule[] = [
  [/(norm\w*|layrnorm)(\.norm_layer)?\.weight$/, { constant: 1 }],
  [/bias$/, { constant: 0 }],
];

/**
 * First values of all parameters: by the first rule that matches, else normal with standard deviation
 * 1 / √(inputs). Each is a pure function of the seed and its name.
 */
export function initialParameters(
  shapes: ReadonlyMap<string, { readonly shape: Shape }>,
  seed: number,
  rules: readonly InitialRule[],
): Map<string, HostTensor> {
  const all = [...rules, ...COMMON_RULES];
  return new Map(
    [...shapes].map(([name, { shape }]) => {
      const values = all.find(([names]) => names.test(name))?.[1];
      const size = sizeOf(shape);
      if (values && 'constant' in values) {
        return [name, floats(shape, new Float32Array(size).fill(values.constant))];
      }
      const std = values?.std ?? 1 / Math.sqrt(sizeOf(shape.slice(1)));
      const drawn = randomStream(seed, 'initial', name).normals(size);
      return [
        name,
        floats(
          shape,
          drawn.map((value) => value * std),
        ),
      ];
    }),
  );
}
