import { describe, expect, it } from 'vitest';
import { discClip, greyClip, panningClip } from '../../../test/metric-clips.ts';
import { topSpeeds } from '../dynamic-degree.ts';
import { createFarnebackFlow } from './farneback.ts';
import { fieldOf } from './flows.ts';

const flow = createFarnebackFlow();

describe('Farnebäck flow', () => {
  it('names itself with the version of OpenCV', () => {
    expect(flow.identity).toMatchObject({ name: 'farneback', source: 'OpenCV 4.12.0' });
  });

  // Not exactly 0: the polynomials of equal pictures are solved for at the borders in single precision.
  it('is as good as 0 where nothing moves', async () => {
    const still = panningClip(2, 48, () => [0, 0]);
    const { fields } = await flow.estimate(still, [[0, 1]]);
    expect(Math.max(...fields.data.map(Math.abs))).toBeLessThan(0.1);
  });

  it('finds a known translation, with its direction', async () => {
    const clip = panningClip(2, 64, (frame) => [3 * frame, -2 * frame]);
    const flows = await flow.estimate(clip, [
      [0, 1],
      [1, 0],
    ]);
    const [forth, back] = [fieldOf(flows, 0), fieldOf(flows, 1)];
    // The middle: content enters and leaves at the borders.
    for (let y = 12; y < 52; y += 4) {
      for (let x = 12; x < 52; x += 4) {
        const at = (y * 64 + x) * 2;
        expect(Math.hypot(forth[at] - 3, forth[at + 1] + 2)).toBeLessThan(0.35);
        expect(Math.hypot(back[at] + 3, back[at + 1] - 2)).toBeLessThan(0.35);
      }
    }
  });

  it("measures a subject's speed by its fastest 5 %", async () => {
    for (const speed of [1, 3, 5]) {
      const clip = discClip(3, 64, (frame) => [speed * (frame - 1), 0]);
      const speeds = topSpeeds(
        await flow.estimate(clip, [
          [0, 1],
          [1, 2],
        ]),
      );
      for (const found of speeds) expect(Math.abs(found - speed)).toBeLessThan(0.1 + 0.1 * speed);
    }
  });

  it('takes frames of any size and refuses a single one', async () => {
    const { fields } = await flow.estimate(greyClip([5, 200], 3, 7), [[0, 1]]);
    expect(fields.shape).toEqual([1, 3, 7, 2]);
    await expect(flow.estimate(greyClip([5]), [])).rejects.toThrow('F ≥ 2');
  });

  it('leaves the process’s error handling as it was', async () => {
    await flow.estimate(greyClip([5, 6]), [[0, 1]]);
    const listeners = ['uncaughtException', 'unhandledRejection'].flatMap((event) =>
      process.rawListeners(event).map(String),
    );
    expect(listeners.filter((text) => text.includes('ExitStatus') || text.includes('abort'))).toEqual([]);
  });

  it('stops when it is cancelled', async () => {
    const signal = AbortSignal.abort();
    await expect(flow.estimate(greyClip([5, 6]), [[0, 1]], signal)).rejects.toThrow('cancelled');
  });
});
