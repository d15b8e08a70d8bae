import type { Value } from '../../../graph/index.ts';
import { causalConv3d } from '../../../nn/convolution.ts';
import type { Frames } from '../../../nn/frames.ts';
import type { ParameterScope } from '../../../nn/parameters.ts';

/** The two frames that each causal convolution saw last, by its path. */
export type FrameCaches = ReadonlyMap<string, readonly [Value, Value]>;

/**
 * Where a batch of frames stands in its video: `before` holds what the convolutions saw last in the batch
 * before, and is empty for the first batch; `after` is filled while the batch is traced.
 */
export class Continuation {
  readonly after = new Map<string, readonly [Value, Value]>();
  readonly #before: FrameCaches;

  constructor(before: FrameCaches = new Map()) {
    this.#before = before;
  }

  /** A causal convolution under `scope` (diffusers CogVideoXCausalConv3d); the first batch repeats its first frame. */
  convolve(scope: ParameterScope, frames: Frames, out: number): Frames {
    const before = this.#before.get(scope.path) ?? ([frames[0], frames[0]] as const);
    const [secondLast, last] = [...before, ...frames].slice(-2);
    this.after.set(scope.path, [secondLast, last]);
    return causalConv3d(scope.at('conv'), before, frames, out);
  }
}
