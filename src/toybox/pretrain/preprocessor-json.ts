import type { PreprocessRecipe } from '../../media/preprocess.ts';

/** transformers' preprocessor_config.json of an image encoder. */
export function preprocessorJson(
  imageProcessor: 'CLIPImageProcessor' | 'ViTImageProcessor',
  { resizeTo, cropTo, mean, std }: PreprocessRecipe,
): Record<string, unknown> {
  const bicubic = 3;
  return {
    image_processor_type: imageProcessor,
    do_resize: true,
    size: { shortest_edge: resizeTo },
    resample: bicubic,
    do_center_crop: true,
    crop_size: { height: cropTo, width: cropTo },
    do_rescale: true,
    rescale_factor: 1 / 255,
    do_normalize: true,
    image_mean: mean,
    image_std: std,
  };
}
