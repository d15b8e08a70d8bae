import {
  type Frames,
  type MetricEncoders,
  type MetricName,
  type MetricValue,
  summarize,
  type Trajectories,
  trajectoryCorrelation,
} from '../evaluation/index.ts';
import { type LoadRequest, loadMedia } from '../media/index.ts';
import type { DualrealError } from '../tensor/errors.ts';
import { EvaluateError, type EvaluationInputs } from './evaluate-inputs.ts';
import { type Clip, measureReference, type ReferenceMotion } from './evaluate-measure.ts';
import type { ReferenceMotionReport } from './evaluate-report.ts';
import type { EvaluateRequest } from './evaluate-request.ts';
import { readAhead } from './read-ahead.ts';

/** The shape of the videos, and the reference clips in it. */
interface MeasuredReferences extends Pick<ReferenceMotionReport, 'frames' | 'width' | 'height' | 'fps'> {
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
    const request = { size: { width, height }, fit, selection };
    const degrees: MetricValue[] = [];
    const trajectories: Trajectories[] = [];
    for await (const reference of readAhead(clips, (path) => this.#load(path, request))) {
      const shown = { frames: reference, fps: clip.fps };
      const measured = await measureReference(shown, this.#encoders, this.#signal);
      degrees.push(measured.degree);
      trajectories.push(measured.trajectories);
    }
    const motion = { degrees, trajectories };
    this.#known.set(key, { frames, width, height, fps: clip.fps, motion });
    return motion;
  }

  async #load(path: string, request: LoadRequest): Promise<Frames> {
    const { frames } = await loadMedia(path, request, { signal: this.#signal });
    if (frames.shape[0] >= 2) return frames;
    throw new EvaluateError({ where: path, expected: 'a clip of at least two frames', got: 'one picture' });
  }

  /** Whether an error is about a reference clip: it would spoil every video. */
  isSource({ where }: DualrealError): boolean {
    return this.#inputs.clips.includes(where);
  }

  reports(options: EvaluateRequest): ReferenceMotionReport[] {
    return [...this.#known.values()].map(({ motion: { degrees, trajectories }, ...shape }) => {
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
        ...shape,
        dynamicDegree: summarize(degrees, own, options),
        ...(degrees.length > 1 && { motionFidelity: summarize(among, own, options) }),
      };
    });
  }
}
