import { zeros } from '../../tensor/host-tensor.ts';
import { type Raster, readBilinear } from '../bilinear.ts';
import { type FlowEstimator, fieldOf } from '../flow/flows.ts';
import { type FramePair, frameOf } from '../frames.ts';
import type { FrameInterpolator } from '../smoothness.ts';

/**
 * Interpolation without a network: the flow both ways gives the flow from the middle to either side (Super SloMo,
 * Jiang et al., CVPR 2018, equation 4, at t = 1/2), along which both pictures are brought to the middle and
 * averaged. Borders are repeated; nothing is done about occlusion.
 */
export function createFlowInterpolator(flow: FlowEstimator): FrameInterpolator {
  const { name, source, hash, settings } = flow.identity;
  return {
    identity: {
      name: `${name} interpolation`,
      source,
      ...(hash !== undefined && { hash }),
      settings: { ...settings, blend: 'both sides, equation 4 of Super SloMo' },
    },
    midpoints: async (frames, pairs, signal) => {
      const [, height, width] = frames.shape;
      const picture = (data: Uint8Array): Raster => ({ data, width, height, channels: 3 });
      const made = zeros('u8', [pairs.length, height, width, 3]);
      // Pair by pair: the flow of all of a long clip would be many times its size.
      for (const [i, [a, b]] of pairs.entries()) {
        const both: readonly FramePair[] = [
          [a, b],
          [b, a],
        ];
        const flows = await flow.estimate(frames, both, signal);
        blend(
          { picture: picture(frameOf(frames, a)), field: fieldOf(flows, 0) },
          { picture: picture(frameOf(frames, b)), field: fieldOf(flows, 1) },
          frameOf(made, i),
        );
      }
      return made;
    },
    release: async () => {},
  };
}

/** A picture and the flow from it to the other one. */
interface Side {
  readonly picture: Raster;
  readonly field: Float32Array;
}

function blend(first: Side, second: Side, out: Uint8Array): void {
  const { width, height } = first.picture;
  const [a, b] = [new Float32Array(3), new Float32Array(3)];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      // From the middle to the first picture; to the second it is the opposite.
      const stepX = (second.field[2 * at] - first.field[2 * at]) / 4;
      const stepY = (second.field[2 * at + 1] - first.field[2 * at + 1]) / 4;
      readBilinear(first.picture, x + stepX, y + stepY, a, 0);
      readBilinear(second.picture, x - stepX, y - stepY, b, 0);
      for (let c = 0; c < 3; c++) out[at * 3 + c] = Math.round((a[c] + b[c]) / 2);
    }
  }
}
