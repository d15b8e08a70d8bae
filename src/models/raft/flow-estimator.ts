import * as g from '../../graph/index.ts';
import { Parameters } from '../../nn/parameters.ts';
import { type Runtime, requireWeights, type WeightTable } from '../../runtime/index.ts';
import { ShapeError } from '../../tensor/errors.ts';
import type { FloatTensor } from '../../tensor/host-tensor.ts';
import { formatShape, sameShape } from '../../tensor/shape.ts';
import { BatchedProgram, type EncodeOptions } from '../batched-program.ts';
import { evenMargins, withEdges, withoutEdges } from '../edges.ts';
import { MIN_SIDE, parseRaftConfig, STRIDE } from './config.ts';
import { raftFlow } from './model.ts';
import { plainRaftWeights } from './weights.ts';

/** Optical flow between images. */
export interface FlowEstimator {
  /** Smallest side of an image, in pixels. */
  readonly minSide: number;
  /**
   * Flow in pixels, [B, 2, H, W] as (x, y), from each first image to its second: f32 [B, 3, H, W] with values
   * 0 … 255, of any size from `minSide` on.
   */
  estimate(first: FloatTensor, second: FloatTensor, options?: EncodeOptions): Promise<FloatTensor>;
  release(): Promise<void>;
}

export interface FlowEstimatorSource {
  /** `{"small": false}` for the official files. */
  readonly config: unknown;
  readonly weights: WeightTable;
  /** Instead of the config's (20 where it says none, as VBench uses). */
  readonly iterations?: number;
  /** Pairs of one run; default 1, since the correlations of a pair take (H·W/64)² · 5 bytes. */
  readonly maxBatch?: number;
  /** Names the checkpoint in errors. */
  readonly where?: string;
}

/** RAFT with its weights; images are padded to multiples of 8 by repeating their edges, evenly on both sides. */
export function createFlowEstimator(runtime: Runtime, source: FlowEstimatorSource): FlowEstimator {
  const parsed = parseRaftConfig(source.config, source.where);
  const config = { ...parsed, iterations: source.iterations ?? parsed.iterations };
  const weights = plainRaftWeights(source.weights);
  const trace = (parameters: Parameters, shape: readonly number[]) =>
    raftFlow(config, parameters.root, { first: g.input('first', shape), second: g.input('second', shape) });
  const parameters = new Parameters();
  trace(parameters, [1, 3, MIN_SIDE, MIN_SIDE]);
  requireWeights(source.where ?? 'RAFT weights', parameters.declared, weights);
  const program = new BatchedProgram(
    runtime,
    ({ first }) => g.program('raft', { flow: trace(new Parameters(), first) }),
    { weights, maxBatch: source.maxBatch ?? 1 },
  );
  return {
    minSide: MIN_SIDE,
    estimate: async (first, second, options) => {
      const { shape } = first;
      const [batch, channels, height, width] = shape;
      const fits = shape.length === 4 && batch > 0 && channels === 3 && Math.min(height, width) >= MIN_SIDE;
      if (!fits || !sameShape(shape, second.shape)) {
        throw new ShapeError({
          where: 'optical flow',
          expected: `two images [B, 3, H, W] of one size, at least ${MIN_SIDE} pixels each way`,
          got: `${formatShape(shape)} and ${formatShape(second.shape)}`,
          hint: 'enlarge small images first',
        });
      }
      const margins = evenMargins(height, width, STRIDE);
      const [a, b] = [first, second].map((image) => withEdges(image, margins));
      const flow = await program.run({ first: a, second: b }, options);
      return withoutEdges(flow, [height, width], margins);
    },
    release: () => program.release(),
  };
}
