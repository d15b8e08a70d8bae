import type { Embeddings, Frames, ImageEmbedder, MetricEncoders, MetricName } from '../evaluation/index.ts';
import { decodePhoto } from '../media/index.ts';
import { floats } from '../tensor/host-tensor.ts';
import type { VideoInput } from './evaluate-inputs.ts';
import { readAhead } from './read-ahead.ts';

/** Embeddings of the reference photos, for the metrics that compare with them. */
export async function photoEmbeddings(
  paths: readonly string[],
  { clipI, dino }: MetricEncoders,
  metrics: ReadonlySet<MetricName>,
  signal: AbortSignal | undefined,
): Promise<{ photosForClip: Embeddings | undefined; photosForDino: Embeddings | undefined }> {
  const wanted = paths.length > 0 && (metrics.has('clip-i') || metrics.has('dino-i'));
  const photos: Frames[] = [];
  for await (const { image } of readAhead(wanted ? paths : [], (path) => decodePhoto(path, { signal }))) {
    photos.push({ ...image, shape: [1, ...image.shape] });
  }
  const embedded = async (metric: MetricName, embedder: ImageEmbedder | undefined) =>
    wanted && embedder && metrics.has(metric) ? embedEach(photos, embedder, signal) : undefined;
  return { photosForClip: await embedded('clip-i', clipI), photosForDino: await embedded('dino-i', dino) };
}

/** Photos of any sizes, one after the other: [R, E]. */
async function embedEach(
  photos: readonly Frames[],
  embedder: ImageEmbedder,
  signal: AbortSignal | undefined,
): Promise<Embeddings> {
  const rows: Float32Array[] = [];
  for (const photo of photos) rows.push((await embedder.images(photo, signal)).vectors.data);
  const width = rows[0].length;
  const data = new Float32Array(rows.length * width);
  for (const [i, row] of rows.entries()) data.set(row, i * width);
  return { vectors: floats([rows.length, width], data), encoder: embedder.identity };
}

/** Prompts in CLIP's space. */
interface PromptEmbeddings {
  of(prompt: string): Embeddings | undefined;
  readonly notices: readonly string[];
}

/** Each distinct prompt once, for CLIP-T; with notices about what the encoder cut off. */
export async function promptEmbeddings(
  videos: readonly VideoInput[],
  { clip }: MetricEncoders,
  metrics: ReadonlySet<MetricName>,
  signal: AbortSignal | undefined,
): Promise<PromptEmbeddings> {
  const prompts = [...new Set(videos.flatMap(({ prompt }) => (prompt === undefined ? [] : [prompt])))];
  if (!clip || !metrics.has('clip-t') || prompts.length === 0) return { of: () => undefined, notices: [] };
  const { vectors, encoder, cut } = await clip.texts(prompts, signal);
  const [, width] = vectors.shape;
  return {
    of: (prompt) => {
      const at = prompts.indexOf(prompt) * width;
      return { vectors: floats([1, width], vectors.data.subarray(at, at + width)), encoder };
    },
    notices: cut
      .filter((text) => text !== '')
      .map((text) => `CLIP-T: the prompt is too long; the encoder does not see "${text}"`),
  };
}
