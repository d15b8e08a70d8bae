import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { probeMedia } from '../../src/media/index.ts';
import { DEMO_FOLDER, DEMO_PROMPTS } from '../../src/workflows/demo.ts';
import { BrowserPage, findBrowser } from '../browser.ts';
import { dualreal, type Ended } from './command-line.ts';

const PROMPTS = ['an animal is hopping sideways in the forest', 'an animal is hopping sideways on the sea'];

it('the prompts name scenes of no photo and no clip', async () => {
  const captions: string[] = [];
  for (const kind of ['subject', 'motion']) {
    const names = (await readdir(join(DEMO_FOLDER, kind))).filter((name) => name.endsWith('.txt'));
    for (const name of names) captions.push((await readFile(join(DEMO_FOLDER, kind, name), 'utf8')).trim());
  }
  expect(captions.length).toBeGreaterThan(6);
  for (const prompt of DEMO_PROMPTS) {
    const scene = /(in|on|at)( the)? \w+$/.exec(prompt)![0];
    expect(captions.filter((caption) => caption.endsWith(scene))).toEqual([]);
  }
});

describe('the demo', () => {
  let folder: string;
  let ended: Ended;
  const at = (...names: string[]) => join(folder, ...names);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dualreal-demo-'));
    const made = await dualreal(['base', 'init', 'base', '--size', 'tiny'], { cwd: folder });
    expect(made.code, made.stderr).toBe(0);
    ended = await dualreal(
      [
        ...['demo', '--base', 'base', '--out', 'runs/demo', '--steps', '8', '--video-steps', '3'],
        ...['--option', 'groups=2', '--option', 'bottleneck=8'],
        ...PROMPTS.flatMap((prompt) => ['--prompt', prompt]),
      ],
      { cwd: folder },
    );
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('makes a video of each prompt and names them and the report', async () => {
    expect(ended.code, ended.stderr).toBe(0);
    const videos = [...ended.stdout.matchAll(/^ {2}(\S+\.mp4)$/gm)].map(([, path]) => path);
    expect(videos).toHaveLength(PROMPTS.length);
    for (const video of videos)
      expect(await probeMedia(video)).toMatchObject({ codec: 'h264', frameCount: 9 });
    expect(ended.stdout).toContain(pathToFileURL(at('runs', 'demo', 'report', 'index.html')).href);
  });

  it('the report tells of everything, with files of its own', async () => {
    const page = await readFile(at('runs', 'demo', 'report', 'index.html'), 'utf8');
    for (const prompt of PROMPTS) expect(page).toContain(`“${prompt}”`);
    expect(page).toContain('random weights');
    expect(page).toMatch(/Loss of the identity steps \(\d\).*Loss of the motion steps \(\d\)/s);
    expect(page).toMatch(/block 1<\/td><td class="number">0\.\d{4}/);
    expect(page).toMatch(/8 training steps<\/td><td class="number">[\d.]+ s/);
    expect(page).toContain('npx dualreal generate --run runs/demo');
    const addresses = [...page.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, address]) => address);
    for (const address of addresses.filter((each) => each !== 'data:,')) {
      expect(existsSync(at('runs', 'demo', 'report', decodeURIComponent(address))), address).toBe(true);
    }
  });

  it('called again, it takes up what is there', async () => {
    const again = await dualreal(
      [
        ...['demo', '--out', 'runs/demo', '--video-steps', '3'],
        ...PROMPTS.flatMap((prompt) => ['--prompt', prompt]),
      ],
      { cwd: folder },
    );
    expect(again.code, again.stderr).toBe(0);
    expect(again.stderr).toContain('going on with runs/demo');
    expect(again.stderr.match(/already there/g)).toHaveLength(2 * PROMPTS.length);
    expect(again.stdout).toBe(ended.stdout);
    const page = await readFile(at('runs', 'demo', 'report', 'index.html'), 'utf8');
    expect(page).toMatch(/8 training steps<\/td>/);
    expect(page).toContain(`0 videos (${PROMPTS.length} more were there)`);
  });

  const browser = findBrowser();
  it.skipIf(!browser)(
    'opens in a browser, from the folder alone: everything loads and plays, nothing complains',
    async () => {
      const page = await BrowserPage.open(browser!);
      try {
        for (const [width, scheme] of [
          [1200, 'light'],
          [390, 'dark'],
        ] as const) {
          await page.show(width, 800, scheme);
          await page.goto(pathToFileURL(at('runs', 'demo', 'report', 'index.html')).href);
          const images = await page.evaluate<number[]>(
            '[...document.images].map((each) => each.naturalWidth)',
          );
          expect(images.length).toBeGreaterThanOrEqual(3);
          expect(images).not.toContain(0);
          const playing = await page.evaluate<boolean[]>(PLAYING);
          expect(playing.length).toBe(4 + 2 * PROMPTS.length);
          expect(playing).not.toContain(false);
          expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
          const paper = await page.evaluate<string>('getComputedStyle(document.body).backgroundColor');
          expect(Number(/\d+/.exec(paper)![0]) > 128).toBe(scheme === 'light');
        }
        expect(page.complaints).toEqual([]);
      } finally {
        await page.close();
      }
    },
  );
});

/** Whether the time of each video moves; each is scrolled to, since browsers rest those out of sight. */
const PLAYING = `(async () => {
  const moves = [];
  for (const video of document.querySelectorAll('video')) {
    video.scrollIntoView();
    const until = performance.now() + 5000;
    while (!(video.currentTime > 0 && video.videoWidth > 0) && performance.now() < until)
      await new Promise((resolve) => setTimeout(resolve, 20));
    moves.push(video.currentTime > 0 && video.videoWidth > 0);
  }
  return moves;
})()`;
