import { apply, defineOp, requireShape, type Value } from '../value.ts';

const gridSampleOp = defineOp<Record<string, never>>({
  name: 'gridSample',
  infer: ([images, grid]) => {
    const fits =
      images.dtype === 'f32' &&
      grid.dtype === 'f32' &&
      images.shape.length === 4 &&
      grid.shape.length === 4 &&
      grid.shape[0] === images.shape[0] &&
      grid.shape[3] === 2;
    requireShape(fits, 'gridSample', 'images [B, C, H, W] and places [B, h, w, 2]', images, grid);
    const [batch, channels] = images.shape;
    return [{ dtype: images.dtype, shape: [batch, channels, grid.shape[1], grid.shape[2]] }];
  },
  emit: (emitter, { inputs, outputs }) => {
    emitter.node('GridSample', inputs, outputs, {
      mode: 'linear',
      padding_mode: 'zeros',
      align_corners: 1,
    });
  },
});

/**
 * Bilinear samples of images [B, C, H, W] at places [B, h, w, 2] → [B, C, h, w]. A place is (x, y) with −1 and 1
 * at the centres of the first and last pixel; outside there are zeros. Not differentiable.
 */
export function gridSample(images: Value, places: Value): Value {
  return apply(gridSampleOp, [images, places], {});
}
