import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { runFfmpeg } from '../src/media/ffmpeg.ts';
import { type HostTensor, zeros } from '../src/tensor/host-tensor.ts';
import { randomStream } from '../src/tensor/random.ts';

/** A disc that crosses a coloured gradient; every frame differs. u8 [F, H, W, 3]. */
export function movingDisc(count: number, width: number, height: number, phase = 0): HostTensor<'u8'> {
  const frames = zeros('u8', [count, height, width, 3]);
  const radius = Math.min(width, height) / 5;
  let to = 0;
  for (let frame = 0; frame < count; frame++) {
    const centreX = width * (0.2 + (0.6 * frame) / Math.max(1, count - 1));
    const centreY = height * (0.5 + 0.2 * Math.sin(frame / 3 + phase));
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const inside = Math.hypot(x - centreX, y - centreY) < radius;
        frames.data[to++] = inside ? 230 : (x * 255) / width;
        frames.data[to++] = inside ? 60 + 40 * phase : (y * 255) / height;
        frames.data[to++] = inside ? 40 : 90 + 30 * phase;
      }
    }
  }
  return frames;
}

/** Squares of random colours, 30 across and 20 down: detail everywhere, each seed another picture. u8 [H, W, 3]. */
export function mosaic(seed: number, width = 360, height = 240): HostTensor<'u8'> {
  const image = zeros('u8', [height, width, 3]);
  const stream = randomStream(seed, 'mosaic');
  const colours = Array.from({ length: 30 * 20 * 3 }, () => stream.integer(256));
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const square = Math.floor((y * 20) / height) * 30 + Math.floor((x * 30) / width);
      for (let c = 0; c < 3; c++) image.data[(y * width + x) * 3 + c] = colours[square * 3 + c];
    }
  }
  return image;
}

export interface SampleVideo {
  readonly fps: number;
  /** ffmpeg's output options; MPEG-4 part 2 as in the official sample by default. */
  readonly output?: readonly string[];
}

/** Writes `frames` with any codec and container; used to make inputs as users have them. */
export async function writeSampleVideo(
  path: string,
  frames: HostTensor<'u8'>,
  sample: SampleVideo,
): Promise<void> {
  const [, height, width] = frames.shape;
  mkdirSync(dirname(path), { recursive: true });
  await runFfmpeg({
    where: path,
    arguments: () => [
      ...['-f', 'rawvideo', '-pixel_format', 'rgb24', '-video_size', `${width}x${height}`],
      ...['-framerate', String(sample.fps), '-i', 'pipe:0'],
      ...(sample.output ?? ['-c:v', 'mpeg4', '-q:v', '3', '-pix_fmt', 'yuv420p']),
      `file:${path}`,
    ],
    input: [frames.data],
  });
}

/** A PNG whose header is correct and declares any size, with no picture behind it. */
export function pngHeader(width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    pngChunk('IHDR', header),
    pngChunk('IDAT', Buffer.from('789c030000000001', 'hex')),
    pngChunk('IEND', Buffer.alloc(0)),
  ]);
}

function pngChunk(type: string, body: Buffer): Buffer {
  const chunk = Buffer.alloc(body.length + 12);
  chunk.writeUInt32BE(body.length, 0);
  chunk.write(type, 4, 'latin1');
  body.copy(chunk, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + body.length)), 8 + body.length);
  return chunk;
}

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** Writes a text file, folders included. */
export function writeText(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
