import sharp, { type OverlayOptions } from 'sharp';
import { CLIP_SIZE } from './composite.ts';

/** One line of a contact sheet: the frames of a clip, or several pictures. */
export interface SheetRow {
  readonly label: string;
  /** [F, 64, 64, 3] */
  readonly frames: Uint8Array;
}

export interface SheetOptions {
  /** Screen pixels per clip pixel; default 2. */
  readonly scale?: number;
  /** Rows beside each other; default 1. */
  readonly columns?: number;
}

const GAP = 2;
const FONT_SIZE = 11;
const LABEL_HEIGHT = FONT_SIZE + 4;

const escapeXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const FRAME_BYTES = CLIP_SIZE * CLIP_SIZE * 3;

/** A PNG with each row's frames side by side under its label. */
export async function contactSheet(rows: readonly SheetRow[], options: SheetOptions = {}): Promise<Buffer> {
  const { scale = 2, columns = 1 } = options;
  const cell = CLIP_SIZE * scale;
  const mostFrames = Math.max(...rows.map((row) => row.frames.length / FRAME_BYTES));
  const rowWidth = mostFrames * (cell + GAP) + 4 * GAP;
  const rowHeight = LABEL_HEIGHT + cell + GAP;
  const lines = Math.ceil(rows.length / columns);
  const width = columns * rowWidth;
  const height = lines * rowHeight;

  const layers: OverlayOptions[] = [];
  let labels = '';
  for (const [index, row] of rows.entries()) {
    const left = Math.floor(index / lines) * rowWidth;
    const top = (index % lines) * rowHeight;
    labels += `<text x="${left + GAP}" y="${top + FONT_SIZE}">${escapeXml(row.label)}</text>`;
    for (let frame = 0; frame * FRAME_BYTES < row.frames.length; frame++) {
      const bytes = row.frames.subarray(frame * FRAME_BYTES, (frame + 1) * FRAME_BYTES);
      const input = await sharp(bytes, { raw: { width: CLIP_SIZE, height: CLIP_SIZE, channels: 3 } })
        .resize(cell, cell, { kernel: 'nearest' })
        .png()
        .toBuffer();
      layers.push({ input, left: left + frame * (cell + GAP), top: top + LABEL_HEIGHT });
    }
  }
  const style = `font-family="sans-serif" font-size="${FONT_SIZE}" fill="#ddd"`;
  const text = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><g ${style}>${labels}</g></svg>`;
  layers.push({ input: Buffer.from(text), left: 0, top: 0 });
  return sharp({ create: { width, height, channels: 3, background: '#181818' } })
    .composite(layers)
    .png()
    .toBuffer();
}

/** One frame as a PNG. */
export function framePng(rgb: Uint8Array): Promise<Buffer> {
  return sharp(rgb, { raw: { width: CLIP_SIZE, height: CLIP_SIZE, channels: 3 } })
    .png()
    .toBuffer();
}

/** A clip as a looping GIF at 8 frames per second. */
export function clipGif(frames: Uint8Array): Promise<Buffer> {
  const count = frames.length / FRAME_BYTES;
  return sharp(frames, {
    raw: { width: CLIP_SIZE, height: CLIP_SIZE * count, channels: 3, pageHeight: CLIP_SIZE },
  })
    .gif({ delay: Array.from({ length: count }, () => 125), loop: 0 })
    .toBuffer();
}
