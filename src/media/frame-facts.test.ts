import { describe, expect, it } from 'vitest';
import { randomStream } from '../tensor/random.ts';
import { type FrameFact, FrameFactsReader, timingOf } from './frame-facts.ts';

const TEXT = `#extradata 0:       43, 0x8d190815
#software: Lavf59.27.100
#tb 0: 1/25
#media_type 0: video
#codec_id 0: mpeg4
#dimensions 0: 320x240
#sar 0: 1/1
0,          0,          0,        1,     7703, 0x3a7fe7ee
0,          1,          1,        1,      213, 0xc98f7525, F=0x0
0,          2,          2,        1,     3317, 0xc420f462, F=0x0
`;

const framesAt = (times: readonly number[], durationS = 0): FrameFact[] =>
  times.map((timeS) => ({ timeS, durationS, sizeBytes: 1 }));

describe('FrameFactsReader', () => {
  it('reads the same facts however the text is cut', () => {
    const bytes = new TextEncoder().encode(TEXT);
    const stream = randomStream(5, 'cuts');
    for (let trial = 0; trial < 50; trial++) {
      const reader = new FrameFactsReader();
      for (let at = 0; at < bytes.length; ) {
        const end = at + 1 + stream.integer(60);
        reader.receive(bytes.subarray(at, end));
        at = end;
      }
      expect(reader.finish()).toEqual({
        codec: 'mpeg4',
        width: 320,
        height: 240,
        frames: [
          { timeS: 0, durationS: 0.04, sizeBytes: 7703 },
          { timeS: 0.04, durationS: 0.04, sizeBytes: 213 },
          { timeS: 0.08, durationS: 0.04, sizeBytes: 3317 },
        ],
      });
    }
  });

  it('counts while reading, and says nothing about text that is something else', () => {
    const counts: number[] = [];
    const reader = new FrameFactsReader((count) => counts.push(count));
    reader.receive(new TextEncoder().encode(TEXT));
    expect(counts).toEqual([1, 2, 3]);
    const other = new FrameFactsReader();
    other.receive(new TextEncoder().encode('hello, this, is, not, a, list\n#tb\n'));
    expect(other.finish()).toEqual({ codec: '', width: 0, height: 0, frames: [] });
  });
});

describe('timingOf', () => {
  it('knows rates from times in any order', () => {
    expect(timingOf(framesAt([0.08, 0, 0.04], 0.04))).toEqual({
      fps: 25,
      durationS: 0.12,
      variableFrameRate: false,
    });
    expect(timingOf(framesAt([0, 0.5, 0.6, 0.7], 0.1)).variableFrameRate).toBe(true);
  });

  it('recognises common rates behind millisecond clocks', () => {
    const milliseconds = (fps: number) =>
      Array.from({ length: 60 }, (_, i) => Math.round((i * 1000) / fps) / 1000);
    expect(timingOf(framesAt(milliseconds(30_000 / 1001))).fps).toBe(29.97);
    expect(timingOf(framesAt(milliseconds(30))).fps).toBe(30);
    expect(timingOf(framesAt(milliseconds(24_000 / 1001))).fps).toBe(23.976);
    expect(timingOf(framesAt(milliseconds(15))).fps).toBeCloseTo(15, 1);
  });

  it('a single frame has the rate of its duration', () => {
    expect(timingOf(framesAt([3], 1))).toEqual({ fps: 1, durationS: 1, variableFrameRate: false });
    expect(timingOf(framesAt([3], 0)).fps).toBe(1);
  });
});
