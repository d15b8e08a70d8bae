/** How pictures become an image encoder's pixels; media/preprocess.ts carries it out. */
export interface ImagePreprocessing {
  /** `short-side`: keep the aspect, then centre crop; `square`: straight to the square. */
  readonly shape: 'short-side' | 'square';
  /** Short side after resizing, in pixels. */
  readonly resizeTo: number;
  /** Side of the square that comes out. */
  readonly cropTo: number;
  readonly filter: 'bilinear' | 'bicubic';
  /** Where an odd margin is cut. */
  readonly cropRounding: 'floor' | 'round-half-even';
  /** Per RGB channel, on values 0 … 1. */
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/** OpenAI CLIP's own, which open_clip took over (openai/CLIP `clip.py`). */
export function clipPreprocessing(side: number): ImagePreprocessing {
  return {
    shape: 'short-side',
    resizeTo: side,
    cropTo: side,
    filter: 'bicubic',
    cropRounding: 'round-half-even',
    mean: [0.48145466, 0.4578275, 0.40821073],
    std: [0.26862954, 0.26130258, 0.27577711],
  };
}

/** DINO's evaluation transform: 256, then the middle 224, with ImageNet's statistics. */
export function dinoPreprocessing(side: number): ImagePreprocessing {
  return {
    shape: 'short-side',
    resizeTo: Math.round((side * 8) / 7),
    cropTo: side,
    filter: 'bicubic',
    cropRounding: 'round-half-even',
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
  };
}

/** As the winner of Google Universal Image Embedding takes pictures: bilinear straight to the square. */
export function guiePreprocessing(side: number): ImagePreprocessing {
  return { ...clipPreprocessing(side), shape: 'square', filter: 'bilinear' };
}
