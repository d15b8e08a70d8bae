/** Photos and clips: the only room that starts ffmpeg. */
export {
  cellsOfVideo,
  renderContactSheet,
  type SheetCell,
  type SheetRow,
  writeContactSheet,
} from './contact-sheet.ts';
export {
  type DecodedPhoto,
  type DecodedVideo,
  type DecodeOptions,
  decodePhoto,
  decodeVideo,
} from './decode.ts';
export { type EncodeOptions, encodeAnimation, encodePhoto, encodeVideo } from './encode.ts';
export { DEFAULT_MEDIA_LIMITS, MediaError, type MediaLimits, type MediaOptions } from './errors.ts';
export { type FfmpegProgram, findFfmpeg } from './ffmpeg-program.ts';
export { CLIP_EXTENSIONS, looksLikeMedia, PHOTO_EXTENSIONS } from './file-kind.ts';
export { type FitMode, fitFrames, fromModelRange, stretchOf, toModelRange } from './fit.ts';
export {
  type FrameRate,
  type FrameSelection,
  neededRange,
  selectFrames,
  wholeLatentFrames,
} from './frame-selection.ts';
export { type LoadedMedia, type LoadRequest, loadMedia } from './load.ts';
export { decodeOpacity } from './picture.ts';
export {
  clipRecipe,
  dinoRecipe,
  dualrealReferenceRecipe,
  type PreprocessRecipe,
  preprocess,
} from './preprocess.ts';
export { kindOfMedia, type MediaFacts, type MediaKind, probeMedia } from './probe.ts';
export { type ResizeFilter, resize, type Size } from './resize.ts';
