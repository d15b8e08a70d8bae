import {
  clipT,
  consecutivePairs,
  dynamicDegree,
  dynamicDegreeDeviation,
  type Embeddings,
  everyNthFrame,
  type Frames,
  imageSimilarity,
  METRIC_NAMES,
  type MetricEncoders,
  MetricError,
  type MetricName,
  type MetricValue,
  motionFidelity,
  motionSmoothness,
  type SampledMotion,
  type Trajectories,
  temporalConsistency,
  temporalFlickering,
  trackPoints,
  vbenchDynamic,
  vbenchFrameStep,
} from '../evaluation/index.ts';
import type { MissingMetric } from './evaluate-report.ts';

/** Frames with the rate that they are shown at. */
export interface Clip {
  readonly frames: Frames;
  readonly fps: number;
}

/** The reference clips, measured as clips of one shape are. */
export interface ReferenceMotion {
  readonly degrees: readonly MetricValue[];
  readonly trajectories: readonly Trajectories[];
}

/** What a video is compared with. */
export interface MeasureTargets {
  readonly metrics: ReadonlySet<MetricName>;
  readonly prompt: Embeddings | undefined;
  readonly photosForClip: Embeddings | undefined;
  readonly photosForDino: Embeddings | undefined;
  /** Absent where there are no reference clips. */
  readonly motion: ReferenceMotion | undefined;
}

export interface Measured {
  readonly values: readonly MetricValue[];
  readonly missing: readonly MissingMetric[];
}

const NO_CLIP = 'no CLIP: name a folder with --clip';
const NO_DINO = 'no DINO: name a folder with --dino';
const NO_PHOTOS = 'no reference photos';
const NO_CLIPS = 'no reference clips';

/** Every metric that can be taken of a clip, and of the others why not. */
export async function measureClip(
  clip: Clip,
  encoders: MetricEncoders,
  targets: MeasureTargets,
  signal?: AbortSignal,
): Promise<Measured> {
  const { prompt, photosForClip, photosForDino, motion } = targets;
  const { frames, fps } = clip;
  const inClip = once(() => encoders.clip!.images(frames, signal));
  const inClipI =
    encoders.clipI === encoders.clip ? inClip : once(() => encoders.clipI!.images(frames, signal));
  const sampled = once(() => sampleMotion(clip, fps, encoders, signal));
  const measures: Readonly<Record<MetricName, () => Promise<MetricValue | string>>> = {
    'clip-t': async () => {
      if (!encoders.clip) return NO_CLIP;
      return prompt ? clipT(await inClip(), prompt) : 'no prompt';
    },
    'clip-i': async () => {
      if (!encoders.clipI) return NO_CLIP;
      return photosForClip ? imageSimilarity('clip-i', await inClipI(), photosForClip) : NO_PHOTOS;
    },
    'dino-i': async () => {
      if (!encoders.dino) return NO_DINO;
      if (!photosForDino) return NO_PHOTOS;
      return imageSimilarity('dino-i', await encoders.dino.images(frames, signal), photosForDino);
    },
    't-cons': async () => (encoders.clip ? temporalConsistency(await inClip()) : NO_CLIP),
    'motion-smoothness': async () => motionSmoothness(frames, encoders.interpolator, signal),
    'temporal-flickering': async () => temporalFlickering(frames),
    'dynamic-degree': async () => dynamicDegree(await sampled()),
    'dynamic-degree-vbench': async () => vbenchDynamic(await sampled()),
    'dynamic-degree-deviation': async () =>
      motion ? dynamicDegreeDeviation(dynamicDegree(await sampled()), motion.degrees) : NO_CLIPS,
    'motion-fidelity': async () =>
      motion ? motionFidelity(trackPoints((await sampled()).flows), motion.trajectories) : NO_CLIPS,
  };
  const values: MetricValue[] = [];
  const missing: MissingMetric[] = [];
  for (const metric of METRIC_NAMES.filter((name) => targets.metrics.has(name))) {
    const result = await measures[metric]().catch(reasonOf);
    if (typeof result === 'string') missing.push({ metric, reason: result });
    else values.push(result);
  }
  return { values, missing };
}

/** What a metric says against a clip, e.g. that it is too short; other errors go on. */
function reasonOf(error: unknown): string {
  if (!(error instanceof MetricError)) throw error;
  return `expected ${error.expected}, got ${error.got}`;
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** A reference clip as if it were a video shown at `fps`: same steps, same flow. */
export async function measureReference(
  clip: Clip,
  encoders: MetricEncoders,
  signal?: AbortSignal,
): Promise<{ readonly degree: MetricValue; readonly trajectories: Trajectories }> {
  const sampled = await sampleMotion(clip, clip.fps, encoders, signal);
  return { degree: dynamicDegree(sampled), trajectories: trackPoints(sampled.flows) };
}

async function sampleMotion(
  { frames }: Clip,
  fps: number,
  { flow }: MetricEncoders,
  signal: AbortSignal | undefined,
): Promise<SampledMotion> {
  const sampled = everyNthFrame(frames, vbenchFrameStep(fps));
  return { flows: await flow.estimate(sampled, consecutivePairs(sampled.shape[0]), signal), fps };
}
