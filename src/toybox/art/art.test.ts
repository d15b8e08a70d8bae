import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CancelledError } from '../../tensor/errors.ts';
import { ArtError, installArt, missingArt } from './install.ts';
import { artKey, openPackageArt } from './package-art.ts';
import { ART_PACKAGES, artManifest } from './packages.ts';

const SIDE = 24;

/** A square of one colour; `frames` of them, ever brighter, as an animation. */
function webp(frames: number): Promise<Buffer> {
  const raw = new Uint8Array(SIDE * SIDE * frames * 4);
  for (let i = 0; i < raw.length; i += 4) {
    const frame = Math.floor(i / 4 / (SIDE * SIDE));
    raw.set([10 * frame, 20, 200, 255], i);
  }
  return sharp(raw, {
    raw: { width: SIDE, height: SIDE * frames, channels: 4, ...(frames > 1 && { pageHeight: SIDE }) },
  })
    .webp({ lossless: true, ...(frames > 1 && { delay: Array.from({ length: frames }, () => 42) }) })
    .toBuffer();
}

describe('the art packages', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'toybox-art-'));
    for (const { name, version } of ART_PACKAGES) {
      const assets = join(folder, 'node_modules', name, 'assets');
      await mkdir(assets, { recursive: true });
      await writeFile(join(assets, '../package.json'), JSON.stringify({ name, version }));
      await writeFile(join(assets, '.gitkeep'), '');
    }
    const at = (name: string, file: string) => join(folder, 'node_modules', name, 'assets', file);
    await writeFile(at('@lobehub/fluent-emoji-3d', '1f54a-fe0f.webp'), await webp(1));
    await writeFile(at('@lobehub/fluent-emoji-anim-2', '1f3c3-1f3fd-200d-2640-fe0f.webp'), await webp(20));
    await writeFile(at('@lobehub/fluent-emoji-anim-4', '1f6d1.webp'), await webp(1));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('are pinned in the manifest', () => {
    const { dependencies } = JSON.parse(artManifest()) as { dependencies: Record<string, string> };
    expect(Object.keys(dependencies)).toHaveLength(ART_PACKAGES.length);
    for (const version of Object.values(dependencies)) expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  });

  it('are found missing, or there, or in another version', async () => {
    expect(await missingArt(join(folder, 'nowhere'))).toHaveLength(ART_PACKAGES.length);
    expect(await missingArt(folder)).toEqual([]);
    const messages: string[] = [];
    await installArt({ folder, onProgress: ({ message }) => messages.push(message) });
    expect(messages).toEqual(['the art is already installed']);
    const file = join(folder, 'node_modules/three/package.json');
    await writeFile(file, JSON.stringify({ name: 'three', version: '0.1.0' }));
    const wanted = ART_PACKAGES.find(({ name }) => name === 'three')!.version;
    expect(await missingArt(folder)).toEqual([`three@${wanted}`]);
    await expect(openPackageArt(folder)).rejects.toThrow(ArtError);
    await writeFile(file, JSON.stringify({ name: 'three', version: wanted }));
  });

  it('are not installed once the user has cancelled', async () => {
    const options = { folder: join(folder, 'nowhere'), signal: AbortSignal.abort() };
    await expect(installArt(options)).rejects.toThrow(CancelledError);
  });

  it('are read by code points without variation selectors', async () => {
    expect(artKey('1f54a-fe0f.webp')).toBe('1f54a');
    expect(artKey('1f3cb-fe0f-200d-2642-fe0f.webp')).toBe('1f3cb-200d-2642');
    const art = await openPackageArt(folder);
    const still = await art.still('1f54a');
    expect([still.width, still.height, ...still.rgba.subarray(0, 4)]).toEqual([SIDE, SIDE, 0, 20, 200, 255]);
    expect(art.stillFile('1f54a')).toBe('@lobehub/fluent-emoji-3d/assets/1f54a-fe0f.webp');
    expect(() => art.stillFile('1f600')).toThrow(ArtError);
  });

  it('bring animations from 24 to 8 frames per second, evenly over the loop', async () => {
    const art = await openPackageArt(folder);
    const frames = await art.animation('1f3c3-1f3fd-200d-2640');
    expect(frames.map(({ rgba }) => rgba[0] / 10)).toEqual([0, 2, 5, 8, 11, 14, 17]);
    for (const { rgba } of frames) expect(rgba.length).toBe(SIDE * SIDE * 4);
    await expect(art.animation('1f6d1')).rejects.toThrow(/a square animation/);
  });
});
