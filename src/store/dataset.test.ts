import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { movingDisc, writeSampleVideo, writeText } from '../../test/media-samples.ts';
import { encodeAnimation, encodePhoto } from '../media/index.ts';
import { FileFormatError } from '../tensor/errors.ts';
import { hostTensor } from '../tensor/host-tensor.ts';
import { DatasetError, listDataset, readDataset } from './dataset.ts';

const root = mkdtempSync(join(tmpdir(), 'dualreal-dataset-'));
afterAll(() => rmSync(root, { recursive: true }));

let folder: string;
let serial = 0;
beforeEach(() => {
  folder = join(root, `set-${serial++}`);
  mkdirSync(folder);
});
const at = (name: string) => join(folder, name);
/** Files that are only listed need no contents. */
const touch = (...names: string[]) => {
  for (const name of names) writeText(at(name), 'x');
};
const captions = async (path = folder, prompt?: string) =>
  (await listDataset(path, { prompt })).files.map(({ path: file, caption }) => [
    basename(file),
    caption?.text,
    caption?.source,
  ]);

describe('plain folders', () => {
  it('takes photos and clips in the order of their names, and tells what it leaves out', async () => {
    touch('10.png', '2.png', 'b.MP4', 'a.jpeg', '.hidden.png', 'photo.HEIC', 'notes.md', 'unrelated.txt');
    const listing = await listDataset(folder);
    expect(listing.layout).toBe('folder');
    expect(listing.files.map(({ path }) => path)).toEqual(['2.png', '10.png', 'a.jpeg', 'b.MP4'].map(at));
    expect(listing.ignored).toEqual(['notes.md', 'photo.HEIC']);
  });

  it('a mask beside a photo belongs to it; one without a photo is a picture like any other', async () => {
    touch('dog.jpg', 'dog.mask.png', 'cat.png', 'lonely.mask.png');
    const { files, ignored } = await listDataset(folder);
    expect(files.map(({ path, mask }) => [basename(path), mask])).toEqual([
      ['cat.png', undefined],
      ['dog.jpg', at('dog.mask.png')],
      ['lonely.mask.png', undefined],
    ]);
    expect(ignored).toEqual([]);
    expect((await listDataset(at('dog.jpg'))).files[0].mask).toBe(at('dog.mask.png'));
    writeText(at('videos.txt'), 'cat.png\ndog.jpg\n');
    expect((await listDataset(folder)).files.map(({ mask }) => mask)).toEqual([
      undefined,
      at('dog.mask.png'),
    ]);
  });

  it('captions: the prompt before sidecars before prompts.txt', async () => {
    touch('1.png', '2.png', '3.mp4');
    writeText(at('2.txt'), '\ufeff a dog\n  on grass \n');
    writeText(at('prompts.txt'), 'one\r\n\r\ntwo\nthree\n');
    expect(await captions()).toEqual([
      ['1.png', 'one', 'prompts.txt'],
      ['2.png', 'a dog on grass', 'sidecar'],
      ['3.mp4', 'three', 'prompts.txt'],
    ]);
    expect(await captions(folder, ' dog * ')).toEqual(
      ['1.png', '2.png', '3.mp4'].map((name) => [name, 'dog *', 'prompt']),
    );
  });

  it('one line in prompts.txt serves all; another wrong number is refused', async () => {
    touch('1.png', '2.png', '3.png');
    writeText(at('prompts.txt'), 'dog *\n');
    expect((await captions()).map(([, text]) => text)).toEqual(['dog *', 'dog *', 'dog *']);
    writeText(at('prompts.txt'), 'a\nb\n');
    await expect(listDataset(folder)).rejects.toThrow(/prompts\.txt: expected .*3 photos.*got 2 lines/);
  });

  it('refuses what has no media, and points at a subfolder', async () => {
    await expect(listDataset(folder)).rejects.toThrow(/an empty folder/);
    touch('images/1.png', 'readme.md');
    await expect(listDataset(folder)).rejects.toThrow(/did you mean its subfolder images/);
    await expect(listDataset(at('none'))).rejects.toThrow(/nothing at this path/);
  });

  it('refuses captions that cannot be read', async () => {
    touch('1.png');
    writeText(at('1.txt'), '  \n');
    await expect(listDataset(folder)).rejects.toThrow(/a caption, got an empty file/);
    writeFileSync(at('1.txt'), Uint8Array.of(0x66, 0xff, 0xfe));
    await expect(listDataset(folder)).rejects.toThrow(FileFormatError);
    writeFileSync(at('1.txt'), 'x'.repeat(2 << 20));
    await expect(listDataset(folder)).rejects.toThrow(/at most 1 MiB/);
    rmSync(at('1.txt'));
    mkdirSync(at('1.txt'));
    await expect(listDataset(folder)).rejects.toThrow(FileFormatError);
    await expect(listDataset(folder, { prompt: ' ' })).rejects.toThrow(DatasetError);
  });
});

describe('single files', () => {
  it('a photo or clip with its sidecar', async () => {
    touch('1.png', '2.png');
    writeText(at('1.txt'), 'a dog');
    expect(await captions(at('1.png'))).toEqual([['1.png', 'a dog', 'sidecar']]);
    expect(await captions(at('2.png'))).toEqual([['2.png', undefined, undefined]]);
    await expect(listDataset(at('1.txt'))).rejects.toThrow(/a file ending in \.txt/);
  });
});

describe('the official layout', () => {
  const official = (videos: string, prompts?: string) => {
    touch('videos/00.mp4', 'videos/01.mp4', 'videos/ignored.mp4', '00.png');
    writeText(at('videos.txt'), videos);
    if (prompts !== undefined) writeText(at('prompts.txt'), prompts);
  };

  it('line i to line i, nothing else', async () => {
    official('videos/01.mp4\nvideos/00.mp4\n', 'one\nzero\n');
    expect((await listDataset(folder)).layout).toBe('official');
    expect(await captions()).toEqual([
      ['01.mp4', 'one', 'prompts.txt'],
      ['00.mp4', 'zero', 'prompts.txt'],
    ]);
    expect((await captions(folder, 'dog *')).map(([, text, source]) => [text, source])).toEqual([
      ['dog *', 'prompt'],
      ['dog *', 'prompt'],
    ]);
  });

  it('refuses another number of prompts than videos', async () => {
    official('videos/00.mp4\nvideos/01.mp4\n', 'only one\n');
    await expect(listDataset(folder)).rejects.toThrow(/expected 2 lines.*got 1/);
    writeText(at('videos.txt'), '\n');
    await expect(listDataset(folder)).rejects.toThrow(/at least one file name/);
  });

  it('refuses missing files, naming the line', async () => {
    official('videos/00.mp4\nvideos/99.mp4\n', 'a\nb\n');
    await expect(listDataset(folder)).rejects.toThrow(/videos\.txt, line 2: .*99\.mp4, which does not/);
  });

  it('refuses every way out of the folder', async () => {
    writeFileSync(join(root, 'outside.mp4'), 'x');
    for (const line of [
      '../outside.mp4',
      'videos/../../outside.mp4',
      join(root, 'outside.mp4'),
      'C:\\clip.mp4',
      '..\\outside.mp4',
      '..',
    ]) {
      official(`${line}\n`, 'a\n');
      await expect(listDataset(folder)).rejects.toThrow(/inside the data set folder/);
    }
    official('videos/link.mp4\n', 'a\n');
    symlinkSync(join(root, 'outside.mp4'), at('videos/link.mp4'));
    await expect(listDataset(folder)).rejects.toThrow(/inside the data set folder/);
    official('videos/near.mp4\n', 'a\n');
    symlinkSync(at('videos/00.mp4'), at('videos/near.mp4'));
    expect(await captions()).toHaveLength(1);
  });

  it('works where the folder itself is reached by a link', async () => {
    official('videos/00.mp4\n', 'a\n');
    symlinkSync(folder, `${folder}-link`);
    expect(await captions(`${folder}-link`)).toEqual([['00.mp4', 'a', 'prompts.txt']]);
  });
});

describe('readDataset', () => {
  beforeAll(async () => {
    const disc = movingDisc(4, 32, 24);
    mkdirSync(join(root, 'kinds'), { recursive: true });
    const kind = (name: string) => join(root, 'kinds', name);
    await encodePhoto(kind('a.png'), hostTensor('u8', [24, 32, 3], disc.data.slice(0, 24 * 32 * 3)));
    await encodeAnimation(kind('b.gif'), disc, { fps: 5, format: 'gif' });
    await writeSampleVideo(kind('c.mp4'), movingDisc(1, 32, 24), { fps: 1 });
    await writeSampleVideo(kind('d.avi'), disc, { fps: 25 });
    writeText(kind('e.mp4'), 'not a video');
    writeText(kind('f.png'), '');
  });

  it('tells photos from clips by their frames, broken files by their names', async () => {
    const items = await readDataset(join(root, 'kinds'), { prompt: 'dog *' });
    expect(items.map(({ path, kind }) => [basename(path), kind])).toEqual([
      ['a.png', 'photo'],
      ['b.gif', 'clip'],
      ['c.mp4', 'photo'],
      ['d.avi', 'clip'],
      ['e.mp4', 'clip'],
      ['f.png', 'photo'],
    ]);
    expect(items[0]).toMatchObject({ caption: 'dog *', captionSource: 'prompt' });
    expect(dirname(items[0].path)).toBe(join(root, 'kinds'));
  });

  it('names files without a caption', async () => {
    touch('1.png', '2.png');
    writeText(at('1.txt'), 'a dog');
    await expect(readDataset(folder)).rejects.toThrow(/none for .*2\.png\n.*give a prompt/s);
  });
});
