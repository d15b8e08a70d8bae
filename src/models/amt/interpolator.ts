import * as g from '../../graph/index.ts';
import { Parameters } from '../../nn/parameters.ts';
import { type Runtime, requireWeights, type WeightTable } from '../../runtime/index.ts';
import { ShapeError } from '../../tensor/errors.ts';
import type { FloatTensor } from '../../tensor/host-tensor.ts';
import { formatShape, sameShape } from '../../tensor/shape.ts';
import { BatchedProgram, type EncodeOptions } from '../batched-program.ts';
import { evenMargins, withEdges, withoutEdges } from '../edges.ts';
import { MIN_SIDE, parseAmtConfig, STRIDE } from './config.ts';
import { amtMiddle } from './model.ts';

/** Images between images. */
export interface ImageInterpolator {
  /** The image half-way between two, f32 [B, 3, H, W] in 0 … 1, of any size. */
  middle(first: FloatTensor, second: FloatTensor, options?: EncodeOptions): Promise<FloatTensor>;
  release(): Promise<void>;
}

export interface ImageInterpolatorSource {
  /** `{"amt": "S"}` for amt-s.pth. */
  readonly config: unknown;
  readonly weights: WeightTable;
  /** Names the checkpoint in errors. */
  readonly where?: string;
}

/**
 * AMT-S with its weights; images are padded to multiples of 16 by repeating their edges, evenly on both sides, as
 * VBench does, and small ones to the 128 pixels that the model needs, which VBench cannot measure.
 */
export function createImageInterpolator(
  runtime: Runtime,
  source: ImageInterpolatorSource,
): ImageInterpolator {
  const { weights, where } = source;
  const config = parseAmtConfig(source.config, where);
  const trace = (parameters: Parameters, shape: readonly number[]) =>
    amtMiddle(config, parameters.root, { first: g.input('first', shape), second: g.input('second', shape) });
  const parameters = new Parameters();
  trace(parameters, [1, 3, MIN_SIDE, MIN_SIDE]);
  requireWeights(where ?? 'AMT weights', parameters.declared, weights);
  const program = new BatchedProgram(
    runtime,
    ({ first }) => g.program('amt', { middle: trace(new Parameters(), first) }),
    { weights, maxBatch: 1 },
  );
  return {
    middle: async (first, second, options) => {
      const { shape } = first;
      const [batch, channels, height, width] = shape;
      const fits = shape.length === 4 && batch > 0 && channels === 3;
      if (!fits || !sameShape(shape, second.shape)) {
        throw new ShapeError({
          where: 'frame interpolation',
          expected: 'two images [B, 3, H, W] of one size',
          got: `${formatShape(shape)} and ${formatShape(second.shape)}`,
        });
      }
      const margins = evenMargins(height, width, STRIDE, MIN_SIDE);
      const [a, b] = [first, second].map((image) => withEdges(image, margins));
      return withoutEdges(await program.run({ first: a, second: b }, options), [height, width], margins);
    },
    release: () => program.release(),
  };
}
