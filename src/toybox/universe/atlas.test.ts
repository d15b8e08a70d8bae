import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CancelledError, FileFormatError } from '../../tensor/errors.ts';
import { AtlasError, type AtlasIndex, artKeys, openAtlas } from './atlas.ts';
import { buildAtlas, hasAtlas } from './atlas-build.ts';
import { DRAWN_ART, drawnAtlas } from './drawn-art.fixture.ts';
import { SCENES } from './scenes.ts';
import type { Sprite } from './sprite.ts';

/** toEqual walks typed arrays element by element: too slow for megabytes of pixels. */
function expectSame(one: Sprite, other: Sprite): void {
  const facts = ({ levels, ...rest }: Sprite) => [
    rest,
    levels.map(({ pixels, ...level }) => [level, pixels.length]),
  ];
  expect(facts(one)).toEqual(facts(other));
  one.levels.forEach(({ pixels }, index) => {
    expect(Buffer.compare(pixels, other.levels[index].pixels)).toBe(0);
  });
}

describe('the atlas on disk', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'toybox-atlas-'));
    await buildAtlas(DRAWN_ART, join(folder, 'a'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('gives back every sprite and view', () => {
    const disk = openAtlas(join(folder, 'a'));
    const memory = drawnAtlas();
    const { stills, animations } = artKeys();
    for (const key of stills) expectSame(disk.still(key), memory.still(key));
    for (const key of animations) expectSame(disk.animation(key), memory.animation(key));
    for (const { id, yaws } of SCENES) {
      yaws.forEach((_, index) => {
        expect(Buffer.compare(disk.view(id, index), memory.view(id, index))).toBe(0);
      });
    }
    expect(disk.still(stills[0])).toBe(disk.still(stills[0]));
    expect(() => disk.still('nothing')).toThrow(AtlasError);
  });

  it('has a hash that the art alone decides', async () => {
    const index = JSON.parse(await readFile(join(folder, 'a/atlas.json'), 'utf8')) as AtlasIndex;
    expect(index.contentHash).toMatch(/^[0-9a-f]{64}$/);
    expect(index.sizeBytes).toBe((await readFile(join(folder, 'a/atlas.bin'))).length);
    expect(await readdir(join(folder, 'a'))).toEqual(['atlas.bin', 'atlas.json']);
  });

  it('is refused where it is missing, of another recipe, or cut short', async () => {
    expect(() => openAtlas(folder)).toThrow(AtlasError);
    expect(hasAtlas(folder)).toBe(false);
    expect(hasAtlas(join(folder, 'a'))).toBe(true);
    const indexFile = join(folder, 'a/atlas.json');
    const text = await readFile(indexFile, 'utf8');
    await writeFile(indexFile, text.replace(/"recipeHash":"./, '"recipeHash":"x'));
    expect(() => openAtlas(join(folder, 'a'))).toThrow(/an atlas of this catalogue/);
    await writeFile(indexFile, text);
    await truncate(join(folder, 'a/atlas.bin'), 1000);
    const cut = openAtlas(join(folder, 'a'));
    expect(() => cut.view('forest', 0)).toThrow(FileFormatError);
  });

  it('leaves nothing behind when building is cancelled', async () => {
    const abort = new AbortController();
    const building = buildAtlas(DRAWN_ART, join(folder, 'b'), {
      signal: abort.signal,
      onProgress: ({ done }) => {
        if (done === 20) abort.abort();
      },
    });
    await expect(building).rejects.toThrow(CancelledError);
    expect(await readdir(join(folder, 'b'))).toEqual([]);
  });
});
