import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { encodePhoto, encodeVideo } from '../../media/index.ts';
import { writeFileAtomic } from '../../tensor/atomic-file.ts';
import { subjectById } from './catalogue.ts';
import type { References } from './evaluation.ts';
import { FPS } from './layout.ts';
import { motionById } from './motions.ts';
import type { Content } from './plan.ts';
import { sceneById } from './scenes.ts';
import { framesTensor, pictureTensor } from './sheets.ts';
import type { RenderedClip } from './universe.ts';

/** H.264 quality of the clips: 64 × 64 pixels show every artefact. */
const CLIP_QUALITY = 8;

export interface ReferenceFiles {
  /** The written files, relative to the folder. */
  readonly files: readonly string[];
  /** What they show, for NOTICE. */
  readonly contents: readonly Content[];
}

/**
 * Writes a subject's photos and a motion's clips as data sets that `prepare` and `train` read:
 * `<folder>/<subject>/00.png` and `<folder>/<motion>/00.mp4`, each with its caption in a text file beside it.
 */
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
  const isWanted = ({ labels }: RenderedClip) => !request.withoutScenes?.includes(labels.scene);
  const files: string[] = [];
  const contents: Content[] = [];
  const write = async (name: string, clip: RenderedClip) => {
    const path = join(folder, name);
    if (name.endsWith('.png')) await encodePhoto(path, pictureTensor(clip.frames));
    else await encodeVideo(path, framesTensor(clip.frames), { fps: FPS, crf: CLIP_QUALITY });
    const captionName = name.replace(/\.[a-z0-9]+$/, '.txt');
    await writeFileAtomic(join(folder, captionName), new TextEncoder().encode(`${clip.caption}\n`));
    files.push(name, captionName);
    contents.push(contentOf(clip));
  };
  const number = (index: number) => String(index).padStart(2, '0');
  for (const subject of request.subjects) {
    await mkdir(join(folder, subject), { recursive: true });
    for (const [index, photo] of references.photos(subject).filter(isWanted).entries()) {
      await write(`${subject}/${number(index)}.png`, photo);
    }
  }
  for (const motion of request.motions) {
    await mkdir(join(folder, motion), { recursive: true });
    for (const [index, clip] of references.clips(motion).filter(isWanted).entries()) {
      await write(`${motion}/${number(index)}.mp4`, clip);
    }
  }
  return { files, contents };
}

/** The catalogue entries behind a rendering's labels. */
export function contentOf({ labels }: RenderedClip): Content {
  const motion = labels.motion === null ? undefined : motionById(labels.motion);
  return { subject: subjectById(labels.subject), scene: sceneById(labels.scene), ...(motion && { motion }) };
}
