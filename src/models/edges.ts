import { type FloatTensor, floats } from '../tensor/host-tensor.ts';

interface Margin {
  readonly before: number;
  readonly after: number;
}

/** Pixels around an image. */
export interface Margins {
  readonly rows: Margin;
  readonly columns: Margin;
}

/**
 * What makes both sides multiples of `multiple` and at least `atLeast`, half on each side (InputPadder of RAFT, mode
 * "sintel", and of AMT, which have no smallest side).
 */
export function evenMargins(height: number, width: number, multiple: number, atLeast = 0): Margins {
  const marginOf = (side: number): Margin => {
    const missing = Math.max(atLeast, Math.ceil(side / multiple) * multiple) - side;
    return { before: missing >> 1, after: missing - (missing >> 1) };
  };
  return { rows: marginOf(height), columns: marginOf(width) };
}

/** [B, C, H, W] with its edge pixels repeated outwards. */
export function withEdges(image: FloatTensor, { rows, columns }: Margins): FloatTensor {
  const [batch, channels, height, width] = image.shape;
  const [tall, wide] = [height + rows.before + rows.after, width + columns.before + columns.after];
  if (tall === height && wide === width) return image;
  const out = new Float32Array(batch * channels * tall * wide);
  let at = 0;
  for (let plane = 0; plane < batch * channels; plane++) {
    for (let row = 0; row < tall; row++) {
      const from = Math.min(Math.max(row - rows.before, 0), height - 1);
      const line = (plane * height + from) * width;
      out.fill(image.data[line], at, at + columns.before);
      out.set(image.data.subarray(line, line + width), at + columns.before);
      out.fill(image.data[line + width - 1], at + columns.before + width, at + wide);
      at += wide;
    }
  }
  return floats([batch, channels, tall, wide], out);
}

/** The middle of [B, C, tall, wide]: what {@link withEdges} added is cut off. */
export function withoutEdges(
  image: FloatTensor,
  [height, width]: readonly [number, number],
  { rows, columns }: Margins,
): FloatTensor {
  const [batch, channels, tall, wide] = image.shape;
  if (tall === height && wide === width) return image;
  const out = new Float32Array(batch * channels * height * width);
  for (let line = 0; line < batch * channels * height; line++) {
    const plane = Math.floor(line / height);
    const from = (plane * tall + rows.before + (line % height)) * wide + columns.before;
    out.set(image.data.subarray(from, from + width), line * width);
  }
  return floats([batch, channels, height, width], out);
}
