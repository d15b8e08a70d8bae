import { type HostTensor, zeros } from '../src/tensor/host-tensor.ts';
import { randomStream } from '../src/tensor/random.ts';

/** A smooth random picture without edges, its value at any place; each seed another one. */
export function smoothTexture(seed: number, cell: number): (x: number, y: number, channel: number) => number {
  const stream = randomStream(seed, 'texture');
  const side = 64;
  const grid = Array.from({ length: side * side * 3 }, () => stream.uniform());
  const wrap = (i: number) => ((i % side) + side) % side;
  return (x, y, channel) => {
    const [u, v] = [x / cell, y / cell];
    const [left, top] = [Math.floor(u), Math.floor(v)];
    const [a, b] = [u - left, v - top];
    const at = (i: number, j: number) => grid[(wrap(j) * side + wrap(i)) * 3 + channel];
    const above = at(left, top) * (1 - a) + at(left + 1, top) * a;
    const below = at(left, top + 1) * (1 - a) + at(left + 1, top + 1) * a;
    return above * (1 - b) + below * b;
  };
}

/** Where the picture's content lies in each frame, in pixels from where it began. */
export type Path = (frame: number) => readonly [x: number, y: number];

/** The whole picture moves along a path. u8 [F, H, W, 3]. */
export function panningClip(count: number, side: number, path: Path, seed = 1): HostTensor<'u8'> {
  const texture = smoothTexture(seed, 5);
  return drawn(count, side, (frame, x, y, channel) => {
    const [dx, dy] = path(frame);
    return 30 + 190 * texture(x - dx, y - dy, channel);
  });
}

/** A textured disc moves along a path over a background that stays. u8 [F, H, W, 3]. */
export function discClip(count: number, side: number, path: Path, seed = 1): HostTensor<'u8'> {
  const [background, inside] = [smoothTexture(seed, 9), smoothTexture(seed + 1000, 4)];
  const radius = side / 6;
  return drawn(count, side, (frame, x, y, channel) => {
    const [dx, dy] = path(frame);
    const [fromX, fromY] = [x - side / 2 - dx, y - side / 2 - dy];
    if (Math.hypot(fromX, fromY) < radius) return 20 + 230 * inside(fromX, fromY, channel);
    return 60 + 100 * background(x, y, channel);
  });
}

function drawn(
  count: number,
  side: number,
  colour: (frame: number, x: number, y: number, channel: number) => number,
): HostTensor<'u8'> {
  const frames = zeros('u8', [count, side, side, 3]);
  let to = 0;
  for (let frame = 0; frame < count; frame++) {
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        for (let channel = 0; channel < 3; channel++)
          frames.data[to++] = Math.round(colour(frame, x, y, channel));
      }
    }
  }
  return frames;
}

/** Frames of one grey level each, [F, H, W, 3]. */
export function greyClip(levels: readonly number[], height = 4, width = 6): HostTensor<'u8'> {
  const frames = zeros('u8', [levels.length, height, width, 3]);
  const size = height * width * 3;
  for (const [i, level] of levels.entries()) frames.data.fill(level, i * size, (i + 1) * size);
  return frames;
}
