import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { writeFileAtomic } from '../../tensor/atomic-file.ts';
import { FileFormatError } from '../../tensor/errors.ts';
import { parseStrictJson } from '../../tensor/strict-json.ts';
import type { Atlas } from './atlas.ts';
import { catalogueOf } from './catalogue.ts';
import { createReferences } from './evaluation.ts';
import { FPS } from './layout.ts';
import { numberedName, writeRendering } from './reference-files.ts';
import { createUniverse, type RenderedClip } from './universe.ts';

/** The photos and clips of the evaluation split that come with the project, from src/ or dist/toybox/universe. */
export const EVALUATION_FOLDER = fileURLToPath(new URL('../../../evaluation', import.meta.url));

const INDEX_FILE = 'index.json';
const SEED = 1;
/** Of the clips. */
const FRAMES = 9;
/** Captioned clips of anything. */
const GENERIC_CLIPS = 16;

const text = z.string().min(1);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const entrySchema = z.strictObject({
  /** From the folder of the index: `photos/fox/00.png`. */
  file: text,
  sha256,
  /** SHA-256 of the subject's mask beside a photo, `photos/fox/00.mask.png`. */
  mask: sha256.optional(),
  /** Of the text file beside it, too. */
  caption: text,
  subject: text,
  motion: text.nullable(),
  scene: text,
  /** SHA-256 of the pixels [F, 64, 64, 3] and the mask [F, 64, 64] before they were encoded. */
  rendering: sha256,
});

const indexSchema = z.strictObject({
  version: z.literal(1),
  seed: z.number().int().nonnegative(),
  frames: z.number().int().positive(),
  fps: z.number().positive(),
  /** Of the art that the files were rendered from. */
  artHash: text,
  /** What prompts call the subjects. */
  subjects: z.array(z.strictObject({ id: text, classWord: text })),
  /** What captions and prompts call the motions. */
  motions: z.array(z.strictObject({ id: text, phrase: text })),
  files: z.array(entrySchema).min(1),
});

export type EvaluationIndex = z.infer<typeof indexSchema>;
export type EvaluationEntry = EvaluationIndex['files'][number];

export interface EvaluationFiles {
  readonly folder: string;
  readonly index: EvaluationIndex;
  /** SHA-256 that changes with any file, caption or label. */
  readonly hash: string;
}

export interface NamedRendering {
  /** `photos/fox/00`, `clips/somersault/00` or `generic/00`. */
  readonly name: string;
  readonly clip: RenderedClip;
}

/** Everything that evaluation/ holds: photos of 50 subjects, clips of 21 motions, clips of anything. */
export function* renderEvaluation(atlas: Atlas): Generator<NamedRendering> {
  const named = (folder: string, clips: readonly RenderedClip[]): NamedRendering[] =>
    clips.map((clip, index) => ({ name: `${folder}/${numberedName(index)}`, clip }));
  const references = createReferences({ seed: SEED, split: 'evaluation', frames: FRAMES, atlas });
  const { subjects, castings } = references.catalogue;
  for (const { id } of subjects) yield* named(`photos/${id}`, references.photos(id));
  for (const { motion } of castings) yield* named(`clips/${motion.id}`, references.clips(motion.id));
  const universe = createUniverse({ seed: SEED, split: 'pretraining', frames: FRAMES, atlas });
  yield* named(
    'generic',
    Array.from({ length: GENERIC_CLIPS }, (_, index) => universe.render(index)),
  );
}

export function hashRendering({ frames, mask }: RenderedClip): string {
  return createHash('sha256').update(frames).update(mask).digest('hex');
}

/** Renders everything into a new folder, and writes its index. */
export async function writeEvaluationFiles(folder: string, atlas: Atlas): Promise<EvaluationIndex> {
  const files: EvaluationEntry[] = [];
  for (const { name, clip } of renderEvaluation(atlas)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    const [ending, ...others] = await writeRendering(join(folder, name), clip);
    const hasMask = others.includes('.mask.png');
    files.push({
      file: name + ending,
      sha256: await hashOf(join(folder, name + ending)),
      ...(hasMask && { mask: await hashOf(join(folder, `${name}.mask.png`)) }),
      caption: clip.caption,
      ...clip.labels,
      rendering: hashRendering(clip),
    });
  }
  const { subjects, castings } = catalogueOf('evaluation');
  const index: EvaluationIndex = {
    version: 1,
    seed: SEED,
    frames: FRAMES,
    fps: FPS,
    artHash: atlas.contentHash,
    subjects: subjects.map(({ id, classWord }) => ({ id, classWord })),
    motions: castings.map(({ motion: { id, phrase } }) => ({ id, phrase })),
    files,
  };
  await writeFileAtomic(join(folder, INDEX_FILE), `${JSON.stringify(index, null, 1)}\n`);
  return index;
}

/**
 * The photos and clips that come with the project, every file of them looked at.
 * @throws {FileFormatError} where one is not what the index says.
 */
export async function openEvaluationFiles(folder: string = EVALUATION_FOLDER): Promise<EvaluationFiles> {
  const path = join(folder, INDEX_FILE);
  const parsed = indexSchema.safeParse(parseStrictJson(await bytesOf(path), path));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const got = `${issue.path.join('.') || 'it'}: ${issue.message}`;
    throw new FileFormatError({ where: path, expected: 'an index of photos and clips', got });
  }
  const index = parsed.data;
  for (const { file, mask, caption, ...entry } of index.files) {
    const stem = join(folder, file.slice(0, file.lastIndexOf('.')));
    await requireHash(join(folder, file), entry.sha256);
    if (mask !== undefined) await requireHash(`${stem}.mask.png`, mask);
    const written = new TextDecoder().decode(await bytesOf(`${stem}.txt`)).trim();
    if (written !== caption) throw changed(`${stem}.txt`, caption, written);
  }
  // Not of the file's bytes: git may write its lines' ends in another way.
  return { folder, index, hash: createHash('sha256').update(JSON.stringify(index)).digest('hex') };
}

async function requireHash(path: string, expected: string): Promise<void> {
  const got = await hashOf(path);
  if (got !== expected) throw changed(path, expected.slice(0, 12), got.slice(0, 12));
}

async function hashOf(path: string): Promise<string> {
  return createHash('sha256')
    .update(await bytesOf(path))
    .digest('hex');
}

async function bytesOf(path: string): Promise<Uint8Array> {
  return await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    throw changed(path, 'a file that comes with dualreal', `an unreadable file (${cause.code})`, cause);
  });
}

function changed(where: string, expected: string, got: string, cause?: unknown): FileFormatError {
  const hint = 'restore the folder evaluation/ of the project';
  return new FileFormatError({ where, expected, got, hint, cause });
}
