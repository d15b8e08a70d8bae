import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { encodePhoto, encodeVideo } from '../../media/index.ts';
import { writeFileAtomic } from '../../tensor/atomic-file.ts';
import { subjectById } from './catalogue.ts';
import { CLIP_SIZE } from './composite.ts';
import type { References } from './evaluation.ts';
import { FPS } from './layout.ts';
import { motionById } from './motions.ts';
import type { Content } from './plan.ts';
import { sceneById } from './scenes.ts';
import { framesTensor, pictureTensor } from './sheets.ts';
import type { RenderedClip } from './universe.ts';

/** H.264 quality of the clips, near to lossless: 64 × 64 pixels show every artefact. */
const CLIP_QUALITY = 4;

export interface ReferenceFiles {
  /** The written files, relative to the folder. */
  readonly files: readonly string[];
  /** What they show, for NOTICE. */
  readonly contents: readonly Content[];
}

/** The name of the n-th rendering of a data set, without its ending. */
export function numberedName(index: number): string {
  return String(index).padStart(2, '0');
}

/**
 * Writes a picture as PNG with its subject's mask, a clip as mp4, and the caption in a text file beside them, as
 * `prepare` and `train` read them.
 * @param path of the files, without an ending
 * @returns the endings of what was written, first that of the picture or clip
 */
export async function writeRendering(
  path: string,
  { frames, mask, caption }: RenderedClip,
): Promise<string[]> {
  const isPicture = mask.length === CLIP_SIZE * CLIP_SIZE;
  if (isPicture) {
    await encodePhoto(`${path}.png`, pictureTensor(frames));
    const grey = Uint8Array.from({ length: frames.length }, (_, i) => mask[Math.floor(i / 3)]);
    await encodePhoto(`${path}.mask.png`, pictureTensor(grey));
  } else {
    await encodeVideo(`${path}.mp4`, framesTensor(frames), { fps: FPS, crf: CLIP_QUALITY });
  }
  await writeFileAtomic(`${path}.txt`, `${caption}\n`);
  return isPicture ? ['.png', '.mask.png', '.txt'] : ['.mp4', '.txt'];
}

/** Writes a subject's photos as `<folder>/<subject>/00.png` and a motion's clips as `<folder>/<motion>/00.mp4`. */
export async function writeReferenceFiles(
  references: References,
  folder: string,
  request: {
    readonly subjects: readonly string[];
    readonly motions: readonly string[];
    /** Scenes (ids) that no photo and no clip may show, because prompts will name them. */
    readonly withoutScenes?: readonly string[];
  },
): Promise<ReferenceFiles> {
  const files: string[] = [];
  const contents: Content[] = [];
  const write = async (name: string, rendered: readonly RenderedClip[]) => {
    await mkdir(join(folder, name), { recursive: true });
    const wanted = rendered.filter(({ labels }) => !request.withoutScenes?.includes(labels.scene));
    for (const [index, clip] of wanted.entries()) {
      const stem = `${name}/${numberedName(index)}`;
      const endings = await writeRendering(join(folder, stem), clip);
      files.push(...endings.map((ending) => stem + ending));
      contents.push(contentOf(clip));
    }
  };
  for (const subject of request.subjects) await write(subject, references.photos(subject));
  for (const motion of request.motions) await write(motion, references.clips(motion));
  return { files, contents };
}

/** The catalogue entries behind a rendering's labels. */
export function contentOf({ labels }: Pick<RenderedClip, 'labels'>): Content {
  const motion = labels.motion === null ? undefined : motionById(labels.motion);
  return { subject: subjectById(labels.subject), scene: sceneById(labels.scene), ...(motion && { motion }) };
}
