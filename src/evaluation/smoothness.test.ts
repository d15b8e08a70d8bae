import { describe, expect, it } from 'vitest';
import { greyClip, panningClip } from '../../test/metric-clips.ts';
import { zeros } from '../tensor/host-tensor.ts';
import { createFarnebackFlow } from './flow/farneback.ts';
import { frameOf } from './frames.ts';
import { createFlowInterpolator } from './interpolation/flow-interpolator.ts';
import { enclosingPairs, type FrameInterpolator, motionSmoothness } from './smoothness.ts';

/** The plain mean of both pictures: what can be worked out by hand. */
const averaging: FrameInterpolator = {
  identity: { name: 'average', source: 'by hand', settings: {} },
  midpoints: async (frames, pairs) => {
    const [, height, width] = frames.shape;
    const made = zeros('u8', [pairs.length, height, width, 3]);
    for (const [i, [a, b]] of pairs.entries()) {
      frameOf(made, i).set(frameOf(frames, a).map((value, k) => (value + frameOf(frames, b)[k]) / 2));
    }
    return made;
  },
  release: async () => {},
};

const flowing = createFlowInterpolator(createFarnebackFlow());

describe('motion smoothness', () => {
  it('drops odd frames and compares them with what is made from their neighbours', async () => {
    // 0 _ 20 _ 60: made 10 and 40, dropped 16 and 40: differences 6 and 0.
    const { value, settings, encoder } = await motionSmoothness(greyClip([0, 16, 20, 40, 60]), averaging);
    expect(value).toBeCloseTo(1 - 3 / 255, 12);
    expect(encoder).toBe(averaging.identity);
    expect(settings).toEqual({ width: 6, height: 4 });
  });

  it('leaves the last frame of an even-length clip out', async () => {
    expect(enclosingPairs(4)).toEqual([[0, 2]]);
    const with3 = await motionSmoothness(greyClip([0, 5, 10]), averaging);
    const with4 = await motionSmoothness(greyClip([0, 5, 10, 255]), averaging);
    expect(with4.value).toBe(with3.value);
  });

  it('needs three frames', async () => {
    await expect(motionSmoothness(greyClip([0, 5]), averaging)).rejects.toThrow('F ≥ 3');
  });
});

describe('with interpolation along the flow', () => {
  it('is 1 for a clip that stands still', async () => {
    const still = panningClip(5, 48, () => [0, 0]);
    expect((await motionSmoothness(still, flowing)).value).toBe(1);
  });

  it('is near 1 for even motion, far better than the average of both pictures', async () => {
    const clip = panningClip(5, 48, (frame) => [2 * frame, frame]);
    const along = await motionSmoothness(clip, flowing);
    const across = await motionSmoothness(clip, averaging);
    expect(along.value).toBeGreaterThan(0.99);
    expect(1 - along.value).toBeLessThan((1 - across.value) / 4);
  });

  it('falls where the motion jumps', async () => {
    const even = panningClip(9, 48, (frame) => [frame, 0]);
    const jerky = panningClip(9, 48, (frame) => [frame % 2 === 0 ? frame : frame + 5, 0]);
    const [smooth, rough] = [await motionSmoothness(even, flowing), await motionSmoothness(jerky, flowing)];
    expect(rough.value).toBeLessThan(smooth.value - 0.05);
    expect(rough.encoder).toEqual(smooth.encoder);
  });
});
