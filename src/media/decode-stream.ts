import { resolve } from 'node:path';
import { hostTensor } from '../tensor/host-tensor.ts';
import type { DecodedVideo, DecodeOptions } from './decode.ts';
import { limitsOf, MediaError, type MediaLimits, type MediaOptions } from './errors.ts';
import { guardedInput, runFfmpeg } from './ffmpeg.ts';
import { FrameFactsReader, type StreamFacts, timingOf } from './frame-facts.ts';
import { checkFrameCount, MICROSECONDS, noFrames } from './probe.ts';

/** The part of {@link decodeVideo} that asks ffmpeg. */
export async function decodeStream(path: string, options: DecodeOptions): Promise<DecodedVideo> {
  const limits = limitsOf(options);
  const { facts, chunks, complaints } = await decodeFrames(path, options, limits);
  const stream = await demux(path, options, limits);
  const count = facts.frames.length;
  if (count === 0) throw emptyRange(path, options, complaints);
  const frameBytes = facts.width * facts.height * 3;
  const totalBytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  if (facts.frames.some((frame) => frame.sizeBytes !== frameBytes) || totalBytes !== count * frameBytes) {
    throw new MediaError({
      where: path,
      expected: 'one picture size throughout the clip',
      got: 'frames of different sizes',
      hint: 're-encode it at one size',
    });
  }
  const timing = timingOf(stream.frames.length > 0 ? stream.frames : facts.frames);
  return {
    path,
    frames: hostTensor('u8', [count, facts.height, facts.width, 3], joined(chunks, totalBytes)),
    timesS: facts.frames.map((frame) => Math.round((frame.timeS - facts.frames[0].timeS) * 1e6) / 1e6),
    fps: timing.fps,
    width: facts.width,
    height: facts.height,
    codec: stream.codec,
    durationS: timing.durationS,
    frameCount: (options.startFrame ?? 0) + count,
    complete:
      count < (options.maxFrames ?? Number.POSITIVE_INFINITY) &&
      timing.durationS <= (options.maxDurationS ?? Number.POSITIVE_INFINITY),
    notes: [],
    complaints,
  };
}

/** Facts of the stream as stored, without decoding. */
async function demux(path: string, options: MediaOptions, limits: MediaLimits): Promise<StreamFacts> {
  const packets = new FrameFactsReader();
  await runFfmpeg({
    ...options,
    where: path,
    arguments: () => [
      ...guardedInput(resolve(path), limits),
      ...['-map', '0:V:0', '-c', 'copy', '-f', 'framecrc', 'pipe:1'],
    ],
    onOutput: packets.receive,
  });
  return packets.finish();
}

async function decodeFrames(path: string, options: DecodeOptions, limits: MediaLimits) {
  const reader = new FrameFactsReader((count) => checkFrameCount(path, count, limits));
  const chunks: Uint8Array[] = [];
  let receivedBytes = 0;
  const { complaints } = await runFfmpeg({
    ...options,
    where: path,
    arguments: (program) => {
      const output = [program.frameSyncOption, 'passthrough', '-enc_time_base', MICROSECONDS];
      return [
        ...guardedInput(resolve(path), limits),
        ...['-filter_complex', filterGraph(options)],
        ...['-map', '[frames]', ...output, '-f', 'rawvideo', 'pipe:1'],
        ...['-map', '[facts]', ...output, '-f', 'framecrc', 'pipe:3'],
      ];
    },
    onOutput: (chunk) => {
      chunks.push(chunk);
      receivedBytes += chunk.byteLength;
      if (receivedBytes > limits.maxDecodedBytes) throw tooMuch(path, limits);
    },
    onFacts: reader.receive,
  });
  return { facts: reader.finish(), chunks, complaints };
}

function filterGraph(options: DecodeOptions): string {
  const { startFrame = 0, maxFrames, maxDurationS, size } = options;
  const trims: string[] = [];
  if (startFrame > 0) trims.push(`start_frame=${startFrame}`);
  if (maxFrames !== undefined) trims.push(`end_frame=${startFrame + maxFrames}`);
  if (maxDurationS !== undefined) trims.push(`duration=${maxDurationS.toFixed(6)}`);
  const filters = trims.length > 0 ? [`trim=${trims.join(':')}`] : [];
  if (size) filters.push(`scale=${size.width}:${size.height}:flags=bicubic`);
  filters.push('format=rgb24', 'settb=AVTB', 'split[frames][facts]');
  return `[0:V:0]${filters.join(',')}`;
}

function joined(chunks: readonly Uint8Array[], totalBytes: number): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(totalBytes);
  let offset = 0;
  for (const chunk of chunks) {
    all.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return all;
}

export function emptyRange(path: string, options: DecodeOptions, complaints: readonly string[]): MediaError {
  const start = options.startFrame ?? 0;
  if (start === 0) return noFrames(path, complaints);
  return new MediaError({
    where: path,
    expected: `a clip with more than ${start} frames`,
    got: 'a shorter one',
  });
}

export function tooMuch(path: string, limits: MediaLimits): MediaError {
  return new MediaError({
    where: path,
    expected: `frames of at most ${Math.round(limits.maxDecodedBytes / 2 ** 20)} MiB in memory`,
    got: 'more',
    hint: 'use fewer frames or a smaller size',
  });
}
