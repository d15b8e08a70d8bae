import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { decodeVideo, type MediaFacts, neededRange, probeMedia, selectFrames } from '../media/index.ts';
import { colourDistance, frameOf, type Look, lookAt, measuredSize } from './doctor-measure.ts';
import type { DoctorRequest } from './doctor-request.ts';

/** Everything measured about one readable file. */
export interface Examination {
  readonly facts: MediaFacts;
  readonly sizeBytes: number;
  /** SHA-256 of the file. */
  readonly digest: string;
  /** Frames that training would use. */
  readonly usedFrames: number;
  /** Frames within reach before the 4k + 1 rule. */
  readonly reachableFrames: number;
  readonly usedDurationS: number;
  /** First, middle and last used frame; one look for a photo. */
  readonly looks: readonly Look[];
  /** Largest difference of a used frame from the first, in grey levels. */
  readonly movement: number;
  /** Used frame (from the file's start) before which the picture changes abruptly. */
  readonly cutAtFrame: number | undefined;
  /** What the decoder complained about within the frames used. */
  readonly usedComplaints: readonly string[];
}

// A cut changes the 16×16 thumbnail by more than this, and by far more than the clip's usual step.
const CUT_DIFFERENCE = 25;
const CUT_OVER_USUAL = 5;

/** Decodes a file, all of it for the facts and the used frames for the looks. Throws MediaError. */
export async function examineFile(
  path: string,
  request: DoctorRequest,
  signal: AbortSignal | undefined,
): Promise<Examination> {
  const facts = await probeMedia(path, { signal });
  const { temporalRatio } = request;
  const selection = { maxFrames: request.frames, fps: request.fps, temporalRatio };
  const video = await decodeVideo(path, {
    signal,
    acceptDamage: true,
    size: measuredSize(facts),
    ...neededRange(selection),
  });
  const used = selectFrames(video.timesS, video.fps, selection);
  const reachable = selectFrames(video.timesS, video.fps, { ...selection, temporalRatio: 1 });
  const looks = used.map((index) => lookAt(frameOf(video.frames, index)));
  return {
    facts,
    sizeBytes: (await stat(path)).size,
    digest: await digestOf(path),
    usedFrames: used.length,
    reachableFrames: reachable.length,
    usedDurationS: Math.min(
      facts.durationS,
      used.length / (request.fps === 'native' ? facts.fps || 1 : request.fps),
    ),
    looks: [...new Set([0, (looks.length - 1) >> 1, looks.length - 1])].map((index) => looks[index]),
    movement: Math.max(...looks.map((look) => colourDistance(look, looks[0]))),
    cutAtFrame: findCut(looks, used),
    usedComplaints: video.complaints,
  };
}

function findCut(looks: readonly Look[], used: readonly number[]): number | undefined {
  const steps = looks.slice(1).map((look, index) => colourDistance(look, looks[index]));
  const usual = [...steps].sort((a, b) => a - b)[steps.length >> 1] ?? 0;
  const at = steps.findIndex((step) => step > CUT_DIFFERENCE && step > CUT_OVER_USUAL * usual);
  return at < 0 ? undefined : used[at + 1];
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}
