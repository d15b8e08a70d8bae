import type { FloatTensor } from '../../../tensor/host-tensor.ts';
import { floats } from '../../../tensor/host-tensor.ts';
import type { VaeConfig } from './config.ts';

/** Sizes in pixels and latent pixels, and overlaps as fractions, as in diffusers' `enable_tiling`. */
export interface TileSettings {
  readonly sampleHeight: number;
  readonly sampleWidth: number;
  readonly latentHeight: number;
  readonly latentWidth: number;
  readonly overlapHeight: number;
  readonly overlapWidth: number;
}

/** Upstream's defaults: tiles of half the nominal size that overlap by 1/6 and 1/5. */
export function defaultTiles({ sampleHeight, sampleWidth, spatialCompression }: VaeConfig): TileSettings {
  const [height, width] = [Math.floor(sampleHeight / 2), Math.floor(sampleWidth / 2)];
  return {
    sampleHeight: height,
    sampleWidth: width,
    latentHeight: Math.floor(height / spatialCompression),
    latentWidth: Math.floor(width / spatialCompression),
    overlapHeight: 1 / 6,
    overlapWidth: 1 / 5,
  };
}

export interface Tile {
  readonly row: number;
  readonly column: number;
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
}

/** How tiles cut what goes in, and how what comes out is blended and cropped. */
export interface TilePlan {
  readonly tiles: readonly Tile[];
  readonly blendHeight: number;
  readonly blendWidth: number;
  readonly keptHeight: number;
  readonly keptWidth: number;
}

interface Side {
  readonly height: number;
  readonly width: number;
}

/** The plan for an image of `size` cut into tiles of `cut`, which come out as tiles of `result`. */
function tilePlan(
  size: Side,
  cut: Side,
  result: Side,
  { overlapHeight, overlapWidth }: TileSettings,
): TilePlan {
  const stepHeight = Math.trunc(cut.height * (1 - overlapHeight));
  const stepWidth = Math.trunc(cut.width * (1 - overlapWidth));
  const blendHeight = Math.trunc(result.height * overlapHeight);
  const blendWidth = Math.trunc(result.width * overlapWidth);
  const tiles: Tile[] = [];
  for (let top = 0, row = 0; top < size.height; top += stepHeight, row++) {
    for (let left = 0, column = 0; left < size.width; left += stepWidth, column++) {
      const height = Math.min(cut.height, size.height - top);
      const width = Math.min(cut.width, size.width - left);
      tiles.push({ row, column, top, left, height, width });
    }
  }
  return {
    tiles,
    blendHeight,
    blendWidth,
    keptHeight: result.height - blendHeight,
    keptWidth: result.width - blendWidth,
  };
}

/** Tiles of pixels that become latents; undefined where the video is no larger than one. */
export function encodingPlan(height: number, width: number, settings: TileSettings): TilePlan | undefined {
  const { sampleHeight, sampleWidth, latentHeight, latentWidth } = settings;
  if (height <= sampleHeight && width <= sampleWidth) return undefined;
  const cut = { height: sampleHeight, width: sampleWidth };
  return tilePlan({ height, width }, cut, { height: latentHeight, width: latentWidth }, settings);
}

/** Tiles of latents that become pixels; undefined where the latents are no larger than one. */
export function decodingPlan(height: number, width: number, settings: TileSettings): TilePlan | undefined {
  const { sampleHeight, sampleWidth, latentHeight, latentWidth } = settings;
  if (height <= latentHeight && width <= latentWidth) return undefined;
  const cut = { height: latentHeight, width: latentWidth };
  return tilePlan({ height, width }, cut, { height: sampleHeight, width: sampleWidth }, settings);
}

/** The pixels of one tile of a video [B, F, C, H, W]. */
export function cutTile(video: FloatTensor, { top, left, height, width }: Tile): FloatTensor {
  const [batch, frames, channels, rows, columns] = video.shape;
  const planes = batch * frames * channels;
  const data = new Float32Array(planes * height * width);
  for (let plane = 0; plane < planes; plane++) {
    for (let y = 0; y < height; y++) {
      const start = (plane * rows + top + y) * columns + left;
      data.set(video.data.subarray(start, start + width), (plane * height + y) * width);
    }
  }
  return floats([batch, frames, channels, height, width], data);
}

/**
 * Joins finished tiles [B, F, C, h, w] into one video. As upstream: in reading order, each tile's upper and
 * left margins are faded, in place, from the neighbour that has itself been blended. Also as upstream, the
 * size is the sum of the kept parts: that of the video only where overlaps are whole latent pixels, as they
 * are for the default tiles of the released models.
 */
export function joinTiles(plan: TilePlan, tiles: readonly FloatTensor[]): FloatTensor {
  const [batch, frames, channels] = tiles[0].shape;
  const planes = batch * frames * channels;
  const at = new Map(plan.tiles.map(({ row, column }, i) => [`${row},${column}`, tiles[i]]));
  const total = (kept: number, axis: -2 | -1, first: (tile: Tile) => boolean) =>
    plan.tiles.reduce(
      (sum, tile, i) => sum + (first(tile) ? Math.min(kept, tiles[i].shape.at(axis)!) : 0),
      0,
    );
  const height = total(plan.keptHeight, -2, ({ column }) => column === 0);
  const width = total(plan.keptWidth, -1, ({ row }) => row === 0);
  const data = new Float32Array(planes * height * width);
  for (const [i, { row, column }] of plan.tiles.entries()) {
    const tile = tiles[i];
    const [above, left] = [at.get(`${row - 1},${column}`), at.get(`${row},${column - 1}`)];
    if (above) fadeDown(above, tile, plan.blendHeight, planes);
    if (left) fadeRight(left, tile, plan.blendWidth, planes);
    const [rows, columns] = tile.shape.slice(-2);
    const [top, start] = [row * plan.keptHeight, column * plan.keptWidth];
    const keptRows = Math.min(rows, plan.keptHeight);
    const keptColumns = Math.min(columns, plan.keptWidth);
    for (let plane = 0; plane < planes; plane++) {
      for (let y = 0; y < keptRows; y++) {
        const from = (plane * rows + y) * columns;
        const line = tile.data.subarray(from, from + keptColumns);
        data.set(line, (plane * height + top + y) * width + start);
      }
    }
  }
  return floats([batch, frames, channels, height, width], data);
}

/** The first rows of `tile` become mixtures with the last rows of `above`. */
function fadeDown(above: FloatTensor, tile: FloatTensor, blend: number, planes: number): void {
  const [aboveRows, columns] = above.shape.slice(-2);
  const rows = tile.shape.at(-2)!;
  const extent = Math.min(aboveRows, rows, blend);
  for (let plane = 0; plane < planes; plane++) {
    for (let y = 0; y < extent; y++) {
      const from = (plane * aboveRows + aboveRows - extent + y) * columns;
      const to = (plane * rows + y) * columns;
      for (let x = 0; x < columns; x++)
        tile.data[to + x] = mix(above.data[from + x], tile.data[to + x], y / extent);
    }
  }
}

/** The first columns of `tile` become mixtures with the last columns of `left`. */
function fadeRight(left: FloatTensor, tile: FloatTensor, blend: number, planes: number): void {
  const [rows, leftColumns] = left.shape.slice(-2);
  const columns = tile.shape.at(-1)!;
  const extent = Math.min(leftColumns, columns, blend);
  for (let line = 0; line < planes * rows; line++) {
    const from = line * leftColumns + leftColumns - extent;
    const to = line * columns;
    for (let x = 0; x < extent; x++)
      tile.data[to + x] = mix(left.data[from + x], tile.data[to + x], x / extent);
  }
}

function mix(before: number, own: number, share: number): number {
  return Math.fround(Math.fround(before * (1 - share)) + Math.fround(own * share));
}
