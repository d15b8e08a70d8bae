import {
  type Frames,
  type MetricEncoders,
  type MetricName,
  type MetricValue,
  summarize,
  trajectoryCorrelation,
} from '../evaluation/index.ts';
import { loadMedia } from '../media/index.ts';
import type { DualrealError } from '../tensor/errors.ts';
import { EvaluateError, type EvaluationInputs } from './evaluate-inputs.ts';
import { type Clip, measureReferences, type ReferenceMotion } from './evaluate-measure.ts';
import type { ReferenceMotionReport } from './evaluate-report.ts';
import type { EvaluateRequest } from './evaluate-request.ts';

interface MeasuredReferences {
  readonly clip: Clip;
  readonly motion: ReferenceMotion;
}

/** The reference clips in the shapes of the videos, each shape measured once. */
export class ReferenceClips {
  readonly #inputs: EvaluationInputs;
  readonly #encoders: MetricEncoders;
  readonly #signal: AbortSignal | undefined;
  readonly #known = new Map<string, MeasuredReferences>();

  constructor(inputs: EvaluationInputs, encoders: MetricEncoders, signal: AbortSignal | undefined) {
    this.#inputs = inputs;
    this.#encoders = encoders;
    this.#signal = signal;
  }

  /** Measured as `clip` is: its size, number of frames, and rate of showing. */
  async like(clip: Clip, metrics: ReadonlySet<MetricName>): Promise<ReferenceMotion | undefined> {
    const { clips, fit, referenceFps } = this.#inputs;
    const wanted = metrics.has('dynamic-degree-deviation') || metrics.has('motion-fidelity');
    if (clips.length === 0 || !wanted) return undefined;
    const [frames, height, width] = clip.frames.shape;
    const key = [frames, height, width, clip.fps].join();
    const known = this.#known.get(key);
    if (known) return known.motion;
    const selection = { maxFrames: frames, fps: referenceFps, temporalRatio: 1 };
    const loaded: Frames[] = [];
    for (const path of clips) {
      const media = await loadMedia(
        path,
        { size: { width, height }, fit, selection },
        { signal: this.#signal },
      );
      if (media.frames.shape[0] < 2) {
        throw new EvaluateError({
          where: path,
          expected: 'a clip of at least two frames',
          got: 'one picture',
        });
      }
      loaded.push(media.frames);
    }
    const motion = await measureReferences(loaded, clip.fps, this.#encoders, this.#signal);
    this.#known.set(key, { clip, motion });
    return motion;
  }

  /** Whether an error is about a reference clip: it would spoil every video. */
  isSource({ where }: DualrealError): boolean {
    return this.#inputs.clips.includes(where);
  }

  reports(options: EvaluateRequest): ReferenceMotionReport[] {
    return [...this.#known.values()].map(({ clip, motion: { degrees, trajectories } }) => {
      const [frames, height, width] = clip.frames.shape;
      const own = degrees.map((_, i) => String(i));
      const others = (i: number) => trajectories.filter((_, k) => k !== i);
      const among = trajectories.map(
        (each, i): MetricValue => ({
          metric: 'motion-fidelity',
          value: Math.max(...others(i).map((other) => trajectoryCorrelation(each, other))),
          encoder: each.estimator,
          settings: { references: degrees.length - 1 },
        }),
      );
      return {
        ...{ frames, width, height, fps: clip.fps },
        dynamicDegree: summarize(degrees, own, options),
        ...(degrees.length > 1 && { motionFidelity: summarize(among, own, options) }),
      };
    });
  }
}
