import { createHash } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodePhoto, decodeVideo } from '../../media/index.ts';
import { FileFormatError } from '../../tensor/errors.ts';
import { hasAtlas } from './atlas-build.ts';
import { evaluationCases } from './evaluation.ts';
import {
  EVALUATION_FOLDER,
  type EvaluationFiles,
  hashRendering,
  openEvaluationFiles,
  renderEvaluation,
} from './evaluation-files.ts';
import { DEFAULT_CACHE_FOLDER, openUniverseAtlas } from './universe.ts';

const isThere = hasAtlas(join(DEFAULT_CACHE_FOLDER, 'toybox-atlas'));
if (!isThere) {
  console.warn(
    'toybox: evaluation/ is not compared with the universe; dualreal toybox preview makes .cache/toybox-atlas',
  );
}

const brightness = (rgb: ArrayLike<number>, at: number) =>
  0.2126 * rgb[at] + 0.7152 * rgb[at + 1] + 0.0722 * rgb[at + 2];

const stemOf = (file: string) => file.slice(0, file.lastIndexOf('.'));

describe('the photos and clips in evaluation/', () => {
  let shipped: EvaluationFiles;
  beforeAll(async () => {
    shipped = await openEvaluationFiles();
  });

  it('are of the subjects and motions that cases are made of', () => {
    const { index } = shipped;
    const cases = evaluationCases({ seed: 42, split: 'evaluation' });
    const subjects = new Map(cases.map(({ subject }) => [subject.id, subject.classWord]));
    const motions = new Map(cases.map(({ motion }) => [motion.id, motion.phrase]));
    expect(new Map(index.subjects.map(({ id, classWord }) => [id, classWord]))).toEqual(subjects);
    expect(new Map(index.motions.map(({ id, phrase }) => [id, phrase]))).toEqual(motions);
    for (const { id, classWord } of index.subjects) {
      const photos = index.files.filter(({ file }) => file.startsWith(`photos/${id}/`));
      expect(photos.length).toBeGreaterThanOrEqual(3);
      for (const { subject, motion, caption } of photos) {
        expect({ subject, motion }).toEqual({ subject: id, motion: null });
        expect(caption).toContain(classWord);
      }
    }
    for (const { id, phrase } of index.motions) {
      const clips = index.files.filter(({ file }) => file.startsWith(`clips/${id}/`));
      expect(clips.length).toBeGreaterThanOrEqual(3);
      for (const { subject, motion, caption } of clips) {
        expect(motion).toBe(id);
        expect(subjects.has(subject)).toBe(false);
        expect(caption).toContain(phrase);
      }
    }
    for (const { motion } of index.files.filter(({ file }) => file.startsWith('generic/'))) {
      expect(motions.has(String(motion))).toBe(false);
    }
  });

  it('are all there is', async () => {
    const listed = shipped.index.files.flatMap(({ file, mask }) => [
      file,
      `${stemOf(file)}.txt`,
      ...(mask === undefined ? [] : [`${stemOf(file)}.mask.png`]),
    ]);
    const there = await readdir(EVALUATION_FOLDER, { recursive: true, withFileTypes: true });
    const names = there
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(EVALUATION_FOLDER.length + 1));
    expect(names.map((name) => name.replaceAll(sep, '/')).sort()).toEqual(
      [...listed, 'index.json', 'NOTICE.txt'].sort(),
    );
  });

  it('are photos without loss, with masks that show the subject', async () => {
    for (const { file, mask, rendering } of shipped.index.files) {
      expect(mask !== undefined, file).toBe(file.endsWith('.png'));
      if (mask === undefined) continue;
      const path = join(EVALUATION_FOLDER, file);
      const photo = (await decodePhoto(path)).image.data;
      const grey = (await decodePhoto(`${stemOf(path)}.mask.png`)).image.data.filter((_, i) => i % 3 === 0);
      expect(createHash('sha256').update(photo).update(grey).digest('hex'), file).toBe(rendering);
      expect(grey.filter((alpha) => alpha > 127).length, file).toBeGreaterThan(0.02 * grey.length);
    }
  });

  it.skipIf(!isThere)('are what the universe renders', async () => {
    const atlas = openUniverseAtlas();
    expect(shipped.index.artHash).toBe(atlas.contentHash);
    const rendered = [...renderEvaluation(atlas)];
    expect(rendered.map(({ name, clip }) => [name, clip.caption, hashRendering(clip)])).toEqual(
      shipped.index.files.map(({ file, caption, rendering }) => [stemOf(file), caption, rendering]),
    );
    for (const { name, clip } of rendered.filter((one) =>
      /^(clips\/(ride|roll)|generic)\/00$/.test(one.name),
    )) {
      const { frames } = await decodeVideo(join(EVALUATION_FOLDER, `${name}.mp4`));
      expect(frames.shape).toEqual([shipped.index.frames, 64, 64, 3]);
      // Colours are stored at half the size, so brightness is what is compared.
      let error = 0;
      for (let i = 0; i < frames.data.length; i += 3) {
        error += Math.abs(brightness(frames.data, i) - brightness(clip.frames, i));
      }
      expect((3 * error) / frames.data.length, name).toBeLessThan(2);
    }
  });

  describe('where one is not as it came', () => {
    let folder = '';
    const index = () => join(folder, 'index.json');
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'toybox-evaluation-'));
      await cp(join(EVALUATION_FOLDER, 'photos', 'fox'), join(folder, 'photos', 'fox'), { recursive: true });
      const files = shipped.index.files.filter(({ subject }) => subject === 'fox');
      await writeFile(index(), JSON.stringify({ ...shipped.index, files }));
    });
    afterAll(() => rm(folder, { recursive: true }));

    it.each(['00.png', '01.mask.png', '02.txt'])('names it: %s', async (name) => {
      const path = join(folder, 'photos', 'fox', name);
      const before = await readFile(path);
      await expect(openEvaluationFiles(folder)).resolves.toBeDefined();
      await writeFile(path, Buffer.concat([before, Buffer.from('x')]));
      await expect(openEvaluationFiles(folder)).rejects.toThrow(path);
      await rm(path);
      await expect(openEvaluationFiles(folder)).rejects.toThrow(FileFormatError);
      await writeFile(path, before);
    });

    it('has another hash for other contents, and the same for another layout of the index', async () => {
      const { hash } = await openEvaluationFiles(folder);
      const text = await readFile(index(), 'utf8');
      await writeFile(index(), JSON.stringify(JSON.parse(text), null, 2).replaceAll('\n', '\r\n'));
      expect((await openEvaluationFiles(folder)).hash).toBe(hash);
      await writeFile(index(), text.replace('"scene":"studio"', '"scene":"sea"'));
      expect((await openEvaluationFiles(folder)).hash).not.toBe(hash);
      await writeFile(index(), text);
    });
  });
});
