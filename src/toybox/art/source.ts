/** One picture of `size` × `size` RGBA pixels, alpha not multiplied in. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  /** [height, width, 4] */
  readonly rgba: Uint8Array;
}

/** An equirectangular panorama in linear light, first row up. */
export interface Panorama {
  readonly width: number;
  readonly height: number;
  /** [height, width, 3] */
  readonly rgb: Float32Array;
}

/** Where the universe's art comes from: the packages, or shapes drawn by a test. */
export interface ArtSource {
  /** Says which art this is; part of the atlas's content hash. */
  readonly name: string;
  /** The still picture with this code point key, e.g. `1f427`. */
  still(key: string): Promise<Picture>;
  /** The frames of one loop at about 8 frames per second. */
  animation(key: string): Promise<Picture[]>;
  panorama(key: string): Promise<Panorama>;
  /** The file (inside the packages) that a still or an animation is read from, for NOTICE. */
  stillFile(key: string): string;
  animationFile(key: string): string;
  panoramaFile(key: string): string;
}
