import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createRuntime } from '../../src/runtime/index.ts';
import { LockedError } from '../../src/store/lock-file.ts';
import { CancelledError } from '../../src/tensor/errors.ts';
import { generate } from '../../src/workflows/generate.ts';
import { type GenerateRequestInput, generateRequestSchema } from '../../src/workflows/generate-request.ts';
import { initBase, initBaseRequestSchema } from '../../src/workflows/init-base.ts';
import { runWorkflow, type WorkflowContext, type WorkflowEvent } from '../../src/workflows/workflow.ts';

/** Generation in this process, by a tiny base with random weights: interrupted, damaged, asked for what cannot be. */
describe('generate', () => {
  let folder: string;
  let events: WorkflowEvent[];
  const at = (...names: string[]) => join(folder, ...names);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dualreal-generate-'));
    await runWorkflow(initBase(initBaseRequestSchema.parse({ out: at('base'), size: 'tiny' })), () => {});
  });
  afterAll(() => rm(folder, { recursive: true }));
  beforeEach(() => {
    events = [];
  });

  const context = (signal?: AbortSignal): WorkflowContext => ({
    signal,
    clock: () => performance.now(),
    openRuntime: () => createRuntime({ inline: true, threads: 1 }),
    cacheFolder: at('cache'),
  });
  const start = (out: string, change: Partial<GenerateRequestInput> = {}, signal?: AbortSignal) =>
    generate(
      generateRequestSchema.parse({
        base: at('base'),
        prompts: ['a bear'],
        steps: 14,
        out: at(out),
        ...change,
      }),
      context(signal),
    );
  const run = (out: string, change: Partial<GenerateRequestInput> = {}) =>
    runWorkflow(start(out, change), (event) => void events.push(event));
  const outputOf = async (out: string) => at(out, (await readdir(at(out)))[0]);
  const messages = () => events.flatMap((event) => (event.type === 'notice' ? [event.message] : []));
  const denoised = () => events.filter(({ type }) => type === 'denoise').length;

  /** Starts, and cancels when step `step` is done. */
  async function cancelAt(out: string, step: number): Promise<void> {
    const controller = new AbortController();
    const cancelled = runWorkflow(start(out, {}, controller.signal), (event) => {
      events.push(event);
      if (event.type === 'denoise' && event.step === step) controller.abort();
    });
    await expect(cancelled).rejects.toThrow(CancelledError);
  }

  async function expectSame(out: string): Promise<void> {
    for (const file of ['latents.safetensors', 'video.mp4']) {
      expect(
        (await readFile(join(await outputOf(out), file))).equals(
          await readFile(join(await outputOf('whole'), file)),
        ),
      ).toBe(true);
    }
  }

  it('stopped while denoising, it keeps every step that was done and goes on to the same video', async () => {
    await run('whole');
    const left = ['events.jsonl', 'latents.safetensors', 'request.json', 'sheet.png', 'video.mp4'];
    expect((await readdir(await outputOf('whole'))).sort()).toEqual(left);
    events = [];
    await cancelAt('stopped', 7);
    expect(messages().at(-1)).toBe('stopped; the same command goes on from here');
    events = [];
    await run('stopped');
    expect(messages()).toContain('going on at step 7 of 14');
    expect(denoised()).toBe(7);
    await expectSame('stopped');
  });

  it('a damaged state is reported and denoised again', async () => {
    await cancelAt('damaged', 3);
    await truncate(join(await outputOf('damaged'), 'state.safetensors'), 100);
    events = [];
    await run('damaged');
    expect(messages().join()).toContain('a saved state is damaged');
    expect(denoised()).toBe(14);
    await expectSame('damaged');
  });

  it('damaged latents are named and kept; without a video they are decoded again', async () => {
    const output = await outputOf('damaged');
    await rm(join(output, 'video.mp4'));
    await mkdir(join(output, 'decode'));
    await writeFile(join(output, 'decode', 'step-0001.safetensors'), 'damaged');
    events = [];
    await run('damaged');
    expect(denoised()).toBe(0);
    await expectSame('damaged');
    await rm(join(output, 'video.mp4'));
    await truncate(join(output, 'latents.safetensors'), 200);
    await expect(run('damaged')).rejects.toThrow(/latents\.safetensors: .*\n.*delete it/);
    expect(existsSync(join(output, 'latents.safetensors'))).toBe(true);
  });

  it('an output that another generation works on is left to it', async () => {
    const other = start('shared');
    for (;;) {
      const { value } = await other.next();
      if ((value as WorkflowEvent).type === 'denoise') break;
    }
    await expect(run('shared')).rejects.toThrow(LockedError);
    await other.return([]);
    await run('shared');
    await expectSame('shared');
  });

  it('records what is needed to make a video again, with absolute paths', async () => {
    const record = JSON.parse(await readFile(join(await outputOf('whole'), 'request.json'), 'utf8'));
    expect(record).toMatchObject({
      prompt: 'a bear',
      seed: 42,
      base: { name: 'random-tiny', hash: expect.stringMatching(/^[0-9a-f]{64}$/) },
      versions: { dualreal: expect.any(String) },
      request: { base: at('base'), out: at('whole') },
    });
  });

  it.each([
    ['more steps than the schedule has', { steps: 2000 }, 'option --steps: expected at most 1000'],
    ['frames that are not 4k + 1', { frames: 8 }, 'use 5 or 9'],
    ['a width between tokens', { width: 33 }, 'use 32 or 40'],
    ['seeds that run out', { seed: Number.MAX_SAFE_INTEGER, count: 2 }, 'room for 2'],
    ['an adapter that is not there', { adapter: 'nowhere' }, 'got nothing there'],
    ['a base that is not there', { base: 'nowhere' }, 'model_index.json'],
  ])('%s: refused before anything is made', async (_, change, message) => {
    await expect(run('refused', change)).rejects.toThrow(message);
    expect(existsSync(at('refused'))).toBe(false);
  });
});
