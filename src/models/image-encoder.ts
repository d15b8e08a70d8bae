import * as g from '../graph/index.ts';
import { Parameters } from '../nn/parameters.ts';
import type { Runtime } from '../runtime/index.ts';
import { ShapeError } from '../tensor/errors.ts';
import type { FloatTensor } from '../tensor/host-tensor.ts';
import { formatShape } from '../tensor/shape.ts';
import { BatchedProgram, type EncodeOptions } from './batched-program.ts';
import { type EncoderFamily, encoderFamily } from './encoder-family.ts';
import { type EncoderSource, requireTower } from './encoder-source.ts';
import type { ImagePreprocessing } from './preprocessing.ts';

/** Images to embeddings: what conditions, caches and metrics use, whichever model is behind it. */
export interface ImageEncoder {
  readonly family: EncoderFamily['name'];
  /** E. */
  readonly embeddingDim: number;
  /** Side of the square images it takes, in pixels (DINO takes other sizes too). */
  readonly imageSide: number;
  readonly preprocessing: ImagePreprocessing;
  /** Preprocessed pixels [B, 3, H, W] → embeddings [B, E], not normalised. */
  encode(pixels: FloatTensor, options?: EncodeOptions): Promise<FloatTensor>;
  release(): Promise<void>;
}

/**
 * The image tower of CLIP (transformers or open_clip layout) or DINO. Weight names and shapes are checked
 * against the config at once; the text tower may be absent from the table.
 */
export function createImageEncoder(runtime: Runtime, source: EncoderSource): ImageEncoder {
  const family = encoderFamily(source.config, source.where);
  const { embeddingDim, imageSide, preprocessing } = family;
  requireTower(family, 'image', source);
  const program = new BatchedProgram(
    runtime,
    ({ pixels }) => {
      const scope = new Parameters().root;
      return g.program(`${family.name} images`, {
        embeddings: family.imageFeatures(scope, g.input('pixels', pixels)),
      });
    },
    source,
  );
  return {
    family: family.name,
    embeddingDim,
    imageSide,
    preprocessing,
    encode: async (pixels, options) => {
      const [batch, channels, height, width] = pixels.shape;
      const fits = family.anySize || (height === imageSide && width === imageSide);
      if (pixels.shape.length !== 4 || batch < 1 || channels !== 3 || !fits) {
        throw new ShapeError({
          where: `${family.name} image encoder`,
          expected: `pixels [B, 3, ${imageSide}, ${imageSide}]`,
          got: formatShape(pixels.shape),
        });
      }
      return program.run({ pixels }, options);
    },
    release: () => program.release(),
  };
}
