import sharp from 'sharp';
import { writeFileAtomic } from '../tensor/atomic-file.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import { MediaError } from './errors.ts';
import { resize, type Size } from './resize.ts';

/** One picture of a sheet: u8 RGB [H, W, 3]. */
export interface SheetCell {
  readonly image: HostTensor<'u8'>;
  /** Written under the picture; long ones are cut with an ellipsis. */
  readonly label?: string;
}

export interface SheetRow {
  /** Written left of the row. */
  readonly label?: string;
  readonly cells: readonly SheetCell[];
}

export interface SheetOptions {
  readonly title?: string;
  /** Width of each picture; heights follow from the aspect of the first. Default: that picture's own width. */
  readonly cellWidth?: number;
  /** Room for the labels left of the rows, in pixels; default 150. */
  readonly labelWidth?: number;
}

const GAP = 8;
const LABEL_HEIGHT = 20;
const TITLE_HEIGHT = 34;
const FONT = 'DejaVu Sans, Liberation Sans, Helvetica, Arial, sans-serif';
const CHARACTER_WIDTH = 7.2;
const ROW_LABEL_WIDTH = 150;
const MAX_SHEET_PIXELS = 200_000_000;

/** Evenly spread frames of a video (first and last included) as cells labelled with their numbers. */
export function cellsOfVideo(frames: HostTensor<'u8'>, maxCells: number): SheetCell[] {
  const [count, height, width] = frames.shape;
  const cells = Math.min(count, Math.max(1, maxCells));
  const frameBytes = height * width * 3;
  return Array.from({ length: cells }, (_, cell) => {
    const index = cells === 1 ? 0 : Math.round((cell * (count - 1)) / (cells - 1));
    const data = frames.data.subarray(index * frameBytes, (index + 1) * frameBytes);
    return { image: { dtype: 'u8', shape: [height, width, 3], data }, label: `frame ${index}` };
  });
}

/** Writes a grid of pictures as PNG: one line of cells per row, labels under and beside them. */
export async function writeContactSheet(
  path: string,
  rows: readonly SheetRow[],
  options: SheetOptions = {},
): Promise<void> {
  await writeFileAtomic(path, await renderContactSheet(path, rows, options));
}

/** The PNG bytes of a sheet; `where` is what errors name. */
export async function renderContactSheet(
  where: string,
  rows: readonly SheetRow[],
  options: SheetOptions = {},
): Promise<Uint8Array> {
  const first = rows.flatMap((row) => row.cells)[0];
  if (!first) throw new MediaError({ where, expected: 'at least one picture', got: 'none' });
  const cell = cellSize(first, options.cellWidth);
  const layout = layoutOf(rows, cell, options);
  if (layout.width * layout.height > MAX_SHEET_PIXELS) {
    throw new MediaError({
      where,
      expected: `a sheet of at most ${MAX_SHEET_PIXELS} pixels`,
      got: `${layout.width}×${layout.height}`,
      hint: 'show fewer pictures or smaller ones',
    });
  }
  const pictures = rows.flatMap((row, rowIndex) =>
    row.cells.map(({ image }, column) => ({
      input: Buffer.from(resize(image, cell).data),
      raw: { width: cell.width, height: cell.height, channels: 3 as const },
      ...layout.placeOf(rowIndex, column),
    })),
  );
  const canvas = sharp({
    create: { width: layout.width, height: layout.height, channels: 3, background: '#ffffff' },
    limitInputPixels: false,
  });
  const text = { input: Buffer.from(textLayer(rows, cell, layout, options.title)), left: 0, top: 0 };
  return canvas
    .composite([text, ...pictures])
    .png()
    .toBuffer();
}

interface Layout extends Size {
  readonly left: number;
  placeOf(row: number, column: number): { left: number; top: number };
}

function cellSize({ image }: SheetCell, cellWidth: number | undefined): Size {
  const [height, width] = image.shape;
  const wanted = cellWidth ?? width;
  return { width: wanted, height: Math.max(1, Math.round((wanted * height) / width)) };
}

function layoutOf(rows: readonly SheetRow[], cell: Size, options: SheetOptions): Layout {
  const labelWidth = options.labelWidth ?? ROW_LABEL_WIDTH;
  const left = GAP + (rows.some((row) => row.label !== undefined) ? labelWidth : 0);
  const top = options.title === undefined ? GAP : TITLE_HEIGHT;
  const rowHeights = rows.map(
    (row) => cell.height + GAP + (row.cells.some(({ label }) => label !== undefined) ? LABEL_HEIGHT : 0),
  );
  const columns = Math.max(...rows.map((row) => row.cells.length));
  return {
    left,
    width: left + columns * (cell.width + GAP),
    height: top + rowHeights.reduce((sum, height) => sum + height, 0),
    placeOf: (row, column) => ({
      left: left + column * (cell.width + GAP),
      top: top + rowHeights.slice(0, row).reduce((sum, height) => sum + height, 0),
    }),
  };
}

function textLayer(rows: readonly SheetRow[], cell: Size, layout: Layout, title: string | undefined): string {
  const parts: string[] = [];
  if (title !== undefined) parts.push(textAt(GAP, 22, title, layout.width - 2 * GAP, 15));
  rows.forEach((row, rowIndex) => {
    const { top } = layout.placeOf(rowIndex, 0);
    if (row.label !== undefined)
      parts.push(textAt(GAP, top + cell.height / 2 + 4, row.label, layout.left - 2 * GAP));
    row.cells.forEach(({ label }, column) => {
      const { left } = layout.placeOf(rowIndex, column);
      if (label !== undefined) parts.push(textAt(left, top + cell.height + 15, label, cell.width));
    });
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${layout.width}" height="${layout.height}">${parts.join('')}</svg>`;
}

function textAt(x: number, y: number, text: string, room: number, size = 12): string {
  const fits = Math.max(1, Math.floor((room / CHARACTER_WIDTH) * (12 / size)));
  const shown = [...text].length > fits ? `${[...text].slice(0, fits - 1).join('')}…` : text;
  return `<text x="${x}" y="${y}" font-family="${FONT}" font-size="${size}" fill="#222222">${escapeXml(shown)}</text>`;
}

/** Markup characters become entities; characters that XML forbids become the replacement character. */
function escapeXml(text: string): string {
  return [...text]
    .map((character) => {
      const code = character.codePointAt(0) ?? 0;
      if (code < 0x20 || (code >= 0xd800 && code <= 0xdfff) || code === 0xfffe || code === 0xffff)
        return '\ufffd';
      return `<>&"'`.includes(character) ? `&#${code};` : character;
    })
    .join('');
}
