/** One packet or frame of ffmpeg's `framecrc` output. Times are in seconds. */
export interface FrameFact {
  readonly timeS: number;
  readonly durationS: number;
  readonly sizeBytes: number;
}

/** The facts ffmpeg's `framecrc` muxer writes about one video stream: a stable, machine-readable text. */
export interface StreamFacts {
  readonly codec: string;
  readonly width: number;
  readonly height: number;
  readonly frames: readonly FrameFact[];
}

/**
 * Reads `framecrc` text (format: `#key 0: value` lines, then `stream, dts, pts, duration, size, checksum`).
 * Text that says less than that gives zero sizes and no frames; callers treat these as "nothing decoded".
 */
export class FrameFactsReader {
  #rest = '';
  #decoder = new TextDecoder();
  #timeBaseS = 0;
  #codec = '';
  #width = 0;
  #height = 0;
  readonly #frames: FrameFact[] = [];
  readonly #onFrame: ((count: number) => void) | undefined;

  /** `onFrame` is told the number of frames so far, once per frame; throwing there stops the run. */
  constructor(onFrame?: (count: number) => void) {
    this.#onFrame = onFrame;
  }

  readonly receive = (chunk: Uint8Array): void => {
    const lines = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#readLine(line);
  };

  finish(): StreamFacts {
    if (this.#rest !== '') this.#readLine(this.#rest);
    this.#rest = '';
    return { codec: this.#codec, width: this.#width, height: this.#height, frames: this.#frames };
  }

  #readLine(line: string): void {
    const header = /^#(\w+) 0: *(.*)$/.exec(line);
    if (header) {
      this.#readHeader(header[1], header[2]);
      return;
    }
    const fields = line.split(',');
    if (fields.length < 6 || this.#timeBaseS === 0) return;
    const [, , pts, duration, sizeBytes] = fields.map(Number);
    this.#frames.push({ timeS: pts * this.#timeBaseS, durationS: duration * this.#timeBaseS, sizeBytes });
    this.#onFrame?.(this.#frames.length);
  }

  #readHeader(key: string, value: string): void {
    const pair = /^(\d+)[x/](\d+)$/.exec(value);
    if (key === 'codec_id') this.#codec = value;
    if (key === 'tb' && pair) this.#timeBaseS = Number(pair[1]) / Number(pair[2]);
    if (key === 'dimensions' && pair) [this.#width, this.#height] = [Number(pair[1]), Number(pair[2])];
  }
}

/** Frame rate and duration from the times of a stream's packets or frames (any order). */
export interface Timing {
  readonly fps: number;
  readonly durationS: number;
  /** Distances between frames differ by more than a quarter of their mean. */
  readonly variableFrameRate: boolean;
}

export function timingOf(frames: readonly FrameFact[]): Timing {
  const times = frames.map((frame) => frame.timeS).sort((a, b) => a - b);
  const spanS = times.length > 1 ? times[times.length - 1] - times[0] : 0;
  const last = frames.reduce((latest, frame) => (frame.timeS >= latest.timeS ? frame : latest), frames[0]);
  if (spanS <= 0) {
    const durationS = (last?.durationS ?? 0) > 0 ? last.durationS : 1;
    return { fps: rounded(times.length / durationS), durationS, variableFrameRate: false };
  }
  const fps = namedRate(times.length - 1, spanS);
  const stepS = 1 / fps;
  const uneven = times.some((time, i) => i > 0 && Math.abs(time - times[i - 1] - stepS) > stepS / 4);
  return {
    fps: rounded(fps),
    durationS: Math.round((spanS + (last.durationS > 0 ? last.durationS : stepS)) * 1e6) / 1e6,
    variableFrameRate: uneven,
  };
}

const COMMON_RATES = [24_000 / 1001, 24, 25, 30_000 / 1001, 30, 48, 50, 60_000 / 1001, 60];
// Matroska and WebM keep whole milliseconds, so that a span is off by at most one.
const CLOCK_STEP_S = 0.001;

/** Steps per second; a common rate where the clock cannot tell it from the measured one. */
function namedRate(steps: number, spanS: number): number {
  const distance = (rate: number) => Math.abs(steps / rate - spanS);
  const nearest = COMMON_RATES.reduce((best, rate) => (distance(rate) < distance(best) ? rate : best));
  return distance(nearest) <= CLOCK_STEP_S ? nearest : steps / spanS;
}

/** To a thousandth, for people to read. */
function rounded(fps: number): number {
  return Math.round(fps * 1000) / 1000;
}
