import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { encodePhoto } from '../../src/media/index.ts';
import { createRuntime, type Runtime } from '../../src/runtime/index.ts';
import { readAdapterFile } from '../../src/store/adapter-file.ts';
import { CancelledError } from '../../src/tensor/errors.ts';
import { reshaped } from '../../src/tensor/host-tensor.ts';
import { generate } from '../../src/workflows/generate.ts';
import { generateRequestSchema } from '../../src/workflows/generate-request.ts';
import { initBase, initBaseRequestSchema } from '../../src/workflows/init-base.ts';
import { resumeTraining, train } from '../../src/workflows/train.ts';
import { type TrainRequestInput, trainRequestSchema } from '../../src/workflows/train-request.ts';
import { runWorkflow, type WorkflowContext, type WorkflowEvent } from '../../src/workflows/workflow.ts';
import { movingDisc, writeSampleVideo } from '../media-samples.ts';

/** Training in this process, on a tiny base with random weights: what the command line's journeys would take long for. */
describe('train', () => {
  let folder: string;
  let events: WorkflowEvent[];
  let compiled: string[];
  const at = (...names: string[]) => join(folder, ...names);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dualreal-train-'));
    await runWorkflow(initBase(initBaseRequestSchema.parse({ out: at('base'), size: 'tiny' })), () => {});
    const photo = movingDisc(1, 48, 32);
    await encodePhoto(at('photo.png'), reshaped(photo, photo.shape.slice(1)));
    await writeSampleVideo(at('clip.avi'), movingDisc(12, 64, 48), { fps: 12 });
    await writeSampleVideo(at('short.avi'), movingDisc(6, 64, 48, 1), { fps: 12 });
  });
  afterAll(() => rm(folder, { recursive: true }));
  beforeEach(() => {
    events = [];
    compiled = [];
  });

  const request = (out: string, change: Partial<TrainRequestInput> = {}) =>
    trainRequestSchema.parse({
      subject: [at('photo.png')],
      subjectPrompt: 'a disc',
      motion: [at('clip.avi')],
      motionPrompt: 'a disc is moving',
      base: at('base'),
      out: at(out),
      steps: 7,
      checkpointEvery: 3,
      motionBatch: 2,
      options: { groups: 2, bottleneck: 4 },
      ...change,
    });

  const context = (signal?: AbortSignal): WorkflowContext => ({
    signal,
    clock: () => performance.now(),
    openRuntime: () => watched(createRuntime({ inline: true, threads: 1 })),
    cacheFolder: at('cache'),
  });
  const watched = (runtime: Runtime): Runtime => ({
    ...runtime,
    compile: (program, options) => {
      compiled.push(program.name);
      return runtime.compile(program, options);
    },
  });
  const run = <T>(workflow: AsyncGenerator<WorkflowEvent, T>) =>
    runWorkflow(workflow, (event) => void events.push(event));
  const messages = () => events.flatMap((event) => (event.type === 'notice' ? [event.message] : []));
  const adapterOf = (out: string) => readFile(at(out, 'adapter.safetensors'));

  it('opens no encoder when every feature is in the cache', async () => {
    await run(train(request('first'), context()));
    const encoders = compiled.filter((name) => !name.startsWith('dualreal-'));
    expect(encoders.length).toBeGreaterThanOrEqual(3);
    compiled = [];
    await run(train(request('second'), context()));
    expect(compiled.every((name) => name.startsWith('dualreal-'))).toBe(true);
    expect(await adapterOf('second')).toEqual(await adapterOf('first'));
  });

  it('stops at a step that is no checkpoint multiple, with samples on, and goes on to the same bytes', async () => {
    const sampling = { sampleEvery: 3, sampleSteps: 1 };
    const paused = run(train(request('sampled', sampling), context(), { stopAfter: 5 }));
    await expect(paused).rejects.toThrow(CancelledError);
    expect(messages().at(-1)).toContain(`go on with: dualreal train --resume ${at('sampled')}`);
    // A run may lie elsewhere by then.
    await rename(at('sampled'), at('moved'));
    await run(resumeTraining(at('moved'), context()));
    expect(await adapterOf('moved')).toEqual(await adapterOf('first'));
    expect(events.filter(({ type }) => type === 'estimate')).toHaveLength(2);
    const sheets = (await readdir(at('moved', 'samples'))).filter((name) => name.endsWith('.png'));
    expect(sheets.sort()).toEqual(['step-000003.png', 'step-000006.png', 'step-000007.png']);
  });

  it('stopped while it samples loses no step; the samples are made when it goes on', async () => {
    const controller = new AbortController();
    const training = train(
      request('insample', { sampleEvery: 4, sampleSteps: 3 }),
      context(controller.signal),
    );
    const stopped = runWorkflow(training, (event) => {
      events.push(event);
      if (event.type === 'artifact' && event.path.endsWith('step-00000004.safetensors')) controller.abort();
    });
    await expect(stopped).rejects.toThrow(CancelledError);
    expect(events.filter(({ type }) => type === 'step')).toHaveLength(4);
    expect(existsSync(at('insample', 'samples', 'step-000004.png'))).toBe(false);
    await run(resumeTraining(at('insample'), context()));
    expect(existsSync(at('insample', 'samples', 'step-000004.png'))).toBe(true);
    expect(await adapterOf('insample')).toEqual(await adapterOf('first'));
  });

  it.each([
    ['a width between tokens', { width: 36 }, '--width'],
    ['frames that are not 4k + 1', { frames: 8 }, '--frames'],
    ['groups that do not divide the blocks', { options: { groups: 3 } }, 'groups'],
    ['a base that is not there', { base: 'nowhere' }, 'model_index.json'],
  ])('%s: refused, and no folder stands in the way of the next try', async (_, change, message) => {
    await expect(run(train(request('wrong', change), context()))).rejects.toThrow(message);
    expect(existsSync(at('wrong'))).toBe(false);
  });

  it('a loss that stops being finite names the tensor and keeps the last checkpoint', async () => {
    const hot = request('hot', { learningRate: 1e30, warmupSteps: 5, checkpointEvery: 1 });
    await expect(run(train(hot, context()))).rejects.toThrow(/(loss|grad|adapter|controller).*finite/);
    const saved = (await readdir(at('hot', 'checkpoints'))).sort().at(-1)!;
    expect(messages().at(-1)).toContain(`the checkpoint of step ${Number(/\d+/.exec(saved)![0])} is intact`);
  });

  it('trains without a controller (groups 0), with only identity and with only motion steps', async () => {
    await run(train(request('plain', { options: { groups: 0, bottleneck: 4 } }), context()));
    expect((await readAdapterFile(at('plain', 'adapter.safetensors'))).shape.groups).toBe(0);
    for (const motionRatio of [0, 1]) {
      events = [];
      await run(train(request(`ratio${motionRatio}`, { motionRatio, steps: 3 }), context()));
      const phases = new Set(events.flatMap((event) => (event.type === 'step' ? [event.phase] : [])));
      expect([...phases]).toEqual([motionRatio === 0 ? 'identity' : 'motion']);
    }
  });

  it('clips of other lengths are refused, or left out where the user said so', async () => {
    const motion = [at('clip.avi'), at('short.avi')];
    await expect(run(train(request('mixed', { motion }), context()))).rejects.toThrow('--frames 5');
    await run(train(request('mixed', { motion, skipBadFiles: true }), context()));
    expect(messages().join()).toMatch(/left out .*short\.avi/);
  });

  it('clips shorter than asked: it says so, and the recipe tells the frames that were trained', async () => {
    await run(train(request('shorter', { frames: 25, steps: 1 }), context()));
    expect(messages().join()).toContain('the clips have 9 frames to train on, fewer than 25');
    expect((await readAdapterFile(at('shorter', 'adapter.safetensors'))).recipe?.size?.frames).toBe(9);
  });

  it('an image encoder outside the base is remembered by the run', async () => {
    await rename(at('base', 'image_encoder'), at('encoder'));
    await expect(run(train(request('blind'), context()))).rejects.toThrow('--image-encoder');
    await run(train(request('seeing', { imageEncoder: at('encoder'), steps: 1 }), context()));
    const [made] = await run(
      generate(
        generateRequestSchema.parse({ adapter: at('seeing'), prompts: ['a disc'], steps: 1 }),
        context(),
      ),
    );
    expect(existsSync(made.video)).toBe(true);
  });
});
