import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type EncoderPaths,
  type MetricEncoders,
  type MetricName,
  openMetricEncoders,
} from '../evaluation/index.ts';
import { decodeVideo } from '../media/index.ts';
import { writeFileAtomic } from '../tensor/atomic-file.ts';
import { DualrealError, throwIfCancelled } from '../tensor/errors.ts';
import { EMBEDDED_BASE_FOLDER } from './base-location.ts';
import { renderEvaluationCsv } from './evaluate-csv.ts';
import { photoEmbeddings, promptEmbeddings } from './evaluate-embed.ts';
import { EvaluateError, type EvaluationInputs, findInputs } from './evaluate-inputs.ts';
import { type Clip, measureClip } from './evaluate-measure.ts';
import { ReferenceClips } from './evaluate-references.ts';
import type { EvaluationReport, FailedVideo, VideoReport } from './evaluate-report.ts';
import type { EvaluateRequest } from './evaluate-request.ts';
import { summarizeVideos } from './evaluate-summary.ts';
import { renderEvaluation } from './evaluate-text.ts';
import { packageVersions } from './package-versions.ts';
import { secondsLeft, type WorkflowContext, type WorkflowEvent } from './workflow.ts';

type EvaluateContext = Pick<WorkflowContext, 'signal' | 'clock' | 'openRuntime'>;

/**
 * Measures videos. A metric that lacks what it needs (a prompt, photos, an encoder) and a video that cannot be read
 * are in the report with the reason; the rest is measured. Without anything to measure it throws
 * {@link EvaluateError}.
 */
export async function* evaluate(
  request: EvaluateRequest,
  context: EvaluateContext,
): AsyncGenerator<WorkflowEvent, EvaluationReport> {
  const inputs = await findInputs(request);
  for (const message of inputs.notices) yield { type: 'notice', message };
  const { videos } = inputs;
  if (videos.length === 0) {
    throw new EvaluateError({ where: request.videos.join(', '), expected: 'videos', got: 'none' });
  }
  const runtime = context.openRuntime(request);
  try {
    yield { type: 'stage', stage: 'opening encoders' };
    const encoders = await openMetricEncoders(runtime, encoderPaths(request));
    try {
      const report = yield* measureAll(request, inputs, encoders, context);
      if (request.out !== undefined) yield* writeReport(request.out, report);
      return report;
    } finally {
      await encoders.release();
    }
  } finally {
    await runtime.close();
  }
}

/** Only what the wanted metrics need. */
function encoderPaths(request: EvaluateRequest): EncoderPaths {
  const wants = (...names: readonly MetricName[]) => names.some((name) => request.metrics.includes(name));
  const sharesClip = request.clipI === undefined;
  return {
    ...((wants('clip-t', 't-cons') || (sharesClip && wants('clip-i'))) && {
      clip: request.clip ?? embedded('image_encoder'),
    }),
    ...(wants('clip-i') && { clipI: request.clipI }),
    ...(wants('dino-i') && { dino: request.dino ?? embedded('dino') }),
    flow: request.flow,
    interpolator: request.interpolator,
  };
}

function embedded(name: string): string | undefined {
  const folder = join(EMBEDDED_BASE_FOLDER, name);
  return existsSync(folder) ? folder : undefined;
}

async function* measureAll(
  request: EvaluateRequest,
  inputs: EvaluationInputs,
  encoders: MetricEncoders,
  context: EvaluateContext,
): AsyncGenerator<WorkflowEvent, EvaluationReport> {
  const { signal, clock } = context;
  const metrics = new Set(request.metrics);
  yield { type: 'stage', stage: 'encoding references' };
  const photos = await photoEmbeddings(inputs.photos, encoders, metrics, signal);
  const prompts = await promptEmbeddings(inputs.videos, encoders, metrics, signal);
  for (const message of prompts.notices) yield { type: 'notice', message };
  const references = new ReferenceClips(inputs, encoders, signal);

  const reports: VideoReport[] = [];
  const failed: FailedVideo[] = [];
  const startedMs = clock();
  for (const [index, video] of inputs.videos.entries()) {
    throwIfCancelled(signal, 'evaluation');
    try {
      const clip = await decodeClip(video.path, signal);
      const measured = await measureClip(
        clip,
        encoders,
        {
          metrics,
          prompt: video.prompt === undefined ? undefined : prompts.of(video.prompt),
          ...photos,
          motion: await references.like(clip, metrics),
        },
        signal,
      );
      const [frames, height, width] = clip.frames.shape;
      reports.push({ ...video, frames, width, height, fps: clip.fps, ...measured });
    } catch (error) {
      if (!(error instanceof DualrealError) || references.isSource(error)) throw error;
      failed.push({ path: video.path, message: error.message });
      yield { type: 'notice', message: error.message };
    }
    const [done, total] = [index + 1, inputs.videos.length];
    const left = secondsLeft(startedMs, clock(), done, total);
    yield {
      type: 'progress',
      stage: 'measuring',
      done,
      total,
      ...(left !== undefined && { secondsLeft: left }),
    };
  }
  return {
    version: 1,
    request,
    versions: packageVersions(),
    videos: reports,
    failed,
    ...summarizeVideos(reports, request),
    references: { photos: inputs.photos, clips: inputs.clips, motion: references.reports(request) },
  };
}

async function decodeClip(path: string, signal: AbortSignal | undefined): Promise<Clip> {
  const { frames, fps } = await decodeVideo(path, { signal });
  if (frames.shape[0] < 2) {
    throw new EvaluateError({ where: path, expected: 'a clip of at least two frames', got: 'one picture' });
  }
  return { frames, fps };
}

async function* writeReport(folder: string, report: EvaluationReport): AsyncGenerator<WorkflowEvent> {
  await mkdir(folder, { recursive: true });
  const files = {
    'evaluation.json': `${JSON.stringify(report, null, 2)}\n`,
    'evaluation.csv': renderEvaluationCsv(report),
    'evaluation.txt': renderEvaluation(report),
  };
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder, name);
    await writeFileAtomic(path, text);
    yield { type: 'artifact', kind: 'evaluation', path };
  }
}
