import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { encodePhoto, probeMedia } from '../../src/media/index.ts';
import type { Method } from '../../src/methods/index.ts';
import { createRuntime } from '../../src/runtime/index.ts';
import { readAdapterFile } from '../../src/store/adapter-file.ts';
import { readLoraFile, writeLoraFile } from '../../src/store/lora-file.ts';
import { readMethodFile, writeMethodFile } from '../../src/store/method-file.ts';
import { CancelledError } from '../../src/tensor/errors.ts';
import { asFloats, floats, maxAbsDifference, reshaped } from '../../src/tensor/host-tensor.ts';
import { readSafetensorsFile, writeSafetensorsFile } from '../../src/tensor/safetensors.ts';
import { openBase } from '../../src/workflows/base.ts';
import { exportAdapter, exportRequestSchema } from '../../src/workflows/export.ts';
import { generate } from '../../src/workflows/generate.ts';
import { type GenerateRequestInput, generateRequestSchema } from '../../src/workflows/generate-request.ts';
import { type ImportRequest, importAdapter, importRequestSchema } from '../../src/workflows/import.ts';
import { initBase, initBaseRequestSchema } from '../../src/workflows/init-base.ts';
import { resumeTraining, train } from '../../src/workflows/train.ts';
import { type TrainRequestInput, trainRequestSchema } from '../../src/workflows/train-request.ts';
import { runWorkflow, type WorkflowContext, type WorkflowEvent } from '../../src/workflows/workflow.ts';
import { movingDisc, writeSampleVideo } from '../media-samples.ts';
import { METHODS, STEPS } from './method-requests.ts';

type StepEvent = Extract<WorkflowEvent, { type: 'step' }>;

/** Every method through the ordinary workflows, on a tiny base with random weights: files to files. */
describe('methods', () => {
  let folder: string;
  let events: WorkflowEvent[];
  const at = (...names: string[]) => join(folder, ...names);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dualreal-methods-'));
    await runWorkflow(initBase(initBaseRequestSchema.parse({ out: at('base'), size: 'tiny' })), () => {});
    await mkdir(at('photos'));
    for (const index of [0, 1, 2]) {
      const photo = movingDisc(1, 48, 32, index);
      await encodePhoto(at('photos', `${index}.png`), reshaped(photo, photo.shape.slice(1)));
    }
    // The first has a mask file, the second is transparent on its right half, the third has neither.
    const white = { width: 24, height: 32, channels: 3, background: '#fff' } as const;
    const half = await sharp({ create: white }).png().toBuffer();
    await sharp({ create: { ...white, width: 48, background: '#000' } })
      .composite([{ input: half, left: 0, top: 0 }])
      .toFile(at('photos', '0.mask.png'));
    const clear = { width: 24, height: 32, channels: 4, background: { r: 0, g: 0, b: 0, alpha: 1 } } as const;
    const opaque = await sharp(at('photos', '1.png')).ensureAlpha().png().toBuffer();
    await sharp(opaque)
      .composite([
        { input: await sharp({ create: clear }).png().toBuffer(), left: 24, top: 0, blend: 'dest-out' },
      ])
      .toFile(at('photos', '1.png.new'));
    await writeFile(at('photos', '1.png'), await readFile(at('photos', '1.png.new')));
    await rm(at('photos', '1.png.new'));
    await writeSampleVideo(at('clip.avi'), movingDisc(12, 64, 48), { fps: 12 });
    await mkdir(at('generic'));
    await writeSampleVideo(at('generic', 'a.avi'), movingDisc(9, 64, 48, 2), { fps: 12 });
    await writeFile(at('generic', 'a.txt'), 'a house in the forest');
  });
  afterAll(() => rm(folder, { recursive: true }));
  beforeEach(() => {
    events = [];
  });

  const request = (method: Method['name'], out: string, change: Partial<TrainRequestInput> = {}) =>
    trainRequestSchema.parse({
      method,
      subject: [at('photos')],
      subjectPrompt: 'a photo of a disc',
      motion: [at('clip.avi')],
      motionPrompt: 'a disc is moving',
      ...(method === 'motionbooth' && { generic: [at('generic')] }),
      base: at('base'),
      out: at(out),
      motionBatch: 2,
      learningRate: 1e-3,
      warmupSteps: 0,
      checkpointEvery: 2,
      ...METHODS[method].request,
      ...change,
    });
  const context = (): WorkflowContext => ({
    clock: () => performance.now(),
    openRuntime: () => createRuntime({ inline: true, threads: 1 }),
    cacheFolder: at('cache'),
  });
  const run = <T>(workflow: AsyncGenerator<WorkflowEvent, T>) =>
    runWorkflow(workflow, (event) => void events.push(event));
  const messages = () => events.flatMap((event) => (event.type === 'notice' ? [event.message] : []));
  const steps = () => events.filter((event): event is StepEvent => event.type === 'step');
  const video = async (adapter: string, change: Partial<GenerateRequestInput> = {}) => {
    const prompts = ['a disc in the forest'];
    const [made] = await run(
      generate(
        generateRequestSchema.parse({ adapter: at(adapter), prompts, steps: 2, ...change }),
        context(),
      ),
    );
    return made;
  };
  const latentsOf = async (path: string) => (await readSafetensorsFile(path)).get('latents')!;

  describe.each(Object.keys(METHODS) as Method['name'][])('%s', (name) => {
    const { files, phases, boundary } = METHODS[name];

    it('trains its stages from files and tells how far it is', async () => {
      const result = await run(train(request(name, name), context()));
      expect(result.steps).toBe(STEPS);
      expect(steps().map(({ step, total }) => [step, total])).toEqual(
        Array.from({ length: STEPS }, (_, i) => [i + 1, STEPS]),
      );
      expect(new Set(steps().map(({ phase }) => phase))).toEqual(new Set(phases));
      for (const { loss, secondsLeft } of steps()) {
        expect(loss).toBeGreaterThan(0);
        expect(secondsLeft).toBeGreaterThanOrEqual(0);
      }
      if (boundary) {
        const [last, first] = [steps()[boundary - 1].stage!, steps()[boundary].stage!];
        expect(last.step).toBe(last.total);
        expect(first).toMatchObject({ number: last.number + 1, step: 1 });
        expect(last.of).toBe(events.filter(({ type }) => type === 'estimate').length);
      }
      for (const file of files) expect(existsSync(at(name, file)), file).toBe(true);
      for (const file of result.files) expect(files.map((each) => at(name, each))).toContain(file);
    });

    it.each([...new Set([1, boundary ?? 3, 4])])(
      'stopped after step %d it goes on to the same bytes',
      async (stopAfter) => {
        const out = `${name}-${stopAfter}`;
        await expect(run(train(request(name, out), context(), { stopAfter }))).rejects.toThrow(
          CancelledError,
        );
        await run(resumeTraining(at(out), context()));
        for (const file of [...files, `checkpoints/step-0000000${STEPS}.safetensors`]) {
          expect((await readFile(at(out, file))).equals(await readFile(at(name, file))), file).toBe(true);
        }
        expect(steps()).toHaveLength(STEPS);
      },
    );

    it('generates a video, which is not the base’s', async () => {
      const made = await video(name, { guidance: 2 });
      expect(await probeMedia(made.video)).toMatchObject({ codec: 'h264', frameCount: 9 });
      const [base] = await run(
        generate(
          generateRequestSchema.parse({
            ...{
              base: at('base'),
              prompts: ['a disc in the forest'],
              steps: 2,
              guidance: 2,
              out: at('of-base'),
            },
          }),
          context(),
        ),
      );
      expect(maxAbsDifference(await latentsOf(made.latents), await latentsOf(base.latents))).toBeGreaterThan(
        1e-4,
      );
    });
  });

  it('samples while a stage trains show what earlier stages trained too', async () => {
    const change = { sampleEvery: 3, sampleSteps: 1, samplePrompts: ['a disc', 'a house'] };
    await run(train(request('dreamvideo', 'sampled', change), context()));
    for (const step of [3, 5])
      expect(existsSync(at('sampled', 'samples', `step-00000${step}.png`))).toBe(true);
    expect(messages().join()).toContain('the prompt "a house" does not name the subject ("disc")');
    const plain = await readMethodFile(at('dreamvideo', 'adapter.safetensors'));
    const sampled = await readMethodFile(at('sampled', 'adapter.safetensors'));
    expect(sampled.tensors).toEqual(plain.tensors);
  });

  it('masks: says where each photo’s comes from, and without any trains on whole pictures', async () => {
    await run(train(request('motionbooth', 'masked', { steps: 1 }), context()));
    expect(messages().join()).toContain(
      'subject masks of 0.png (its mask file), 1.png (its transparency); the whole picture counts as the subject in the other 1',
    );
    expect(steps()[0].numbers).toMatchObject({
      regionLoss: expect.any(Number),
      attentionLoss: expect.any(Number),
    });
    events = [];
    const bare = { subject: [at('photos', '2.png')], steps: 1, options: { tune: 'lora', lora: { rank: 2 } } };
    await run(train(request('motionbooth', 'bare', bare), context()));
    expect(messages().join()).toContain('no photo has a subject mask');
    expect(steps()[0].numbers).toBeUndefined();
    await video('bare');
  });

  it('what a later stage trains on is kept: the transformer after the subject', async () => {
    const first = await readMethodFile(at('full', 'after-identity.safetensors'));
    const last = await readMethodFile(at('full', 'adapter.safetensors'));
    expect([...first.tensors.keys()]).toEqual([...last.tensors.keys()]);
    expect(first.tensors).not.toEqual(last.tensors);
    expect(last.header.record).toMatchObject({
      stages: [
        { name: 'identity', steps: 3 },
        { name: 'motion', steps: 2 },
      ],
      size: { frames: 9 },
    });
    const made = await video('full/after-identity.safetensors', { base: at('base'), out: at('early') });
    expect(existsSync(made.video)).toBe(true);
  });

  it('a stage of no steps is left out: the model is that of the stage before', async () => {
    const change = { stageSteps: { identity: 3, motion: 0 } };
    await run(train(request('full', 'subject-only', change), context()));
    expect(steps()).toHaveLength(3);
    expect(existsSync(at('subject-only', 'after-identity.safetensors'))).toBe(false);
    const only = await readMethodFile(at('subject-only', 'adapter.safetensors'));
    expect(only.tensors).toEqual((await readMethodFile(at('full', 'after-identity.safetensors'))).tensors);
  });

  it.each([
    ['two LoRAs', 'lora', {}],
    ['DualReal trained apart', 'dualreal', { steps: undefined, ablation: 'without-adaptation' }],
  ] as const)('%s of which one has no steps make the videos of the other alone', async (_, method, own) => {
    const out = `${method}-subject-only`;
    await run(train(request(method, out, { ...own, stageSteps: { identity: 2, motion: 0 } }), context()));
    expect(steps().map(({ phase }) => phase)).toEqual(['identity', 'identity']);
    // One more step, of a rate at which nothing moves in 32 bits: that stage changes nothing.
    const idle = { ...own, stageSteps: { identity: 2, motion: 1 }, stageLearningRates: { motion: 1e-30 } };
    await run(train(request(method, `${out}-idle`, idle), context()));
    const [only, untouched] = [await video(out), await video(`${out}-idle`)];
    expect(await latentsOf(only.latents)).toEqual(await latentsOf(untouched.latents));
  });

  it('DreamVideo’s learnt word acts where a prompt names the subject, and nowhere else', async () => {
    const { method, tensors, header } = await readMethodFile(at('dreamvideo', 'adapter.safetensors'));
    const token = asFloats(tensors.get('subject_token')!);
    const other = new Map([
      ...tensors,
      [
        'subject_token',
        floats(
          token.shape,
          token.data.map((x) => x + 1),
        ),
      ],
    ]);
    const { transformer: config } = await openBase(at('base'));
    const contents = { method, config, tensors: other, base: header.base, record: header.record };
    await writeMethodFile(at('other.safetensors'), contents as Parameters<typeof writeMethodFile>[1]);
    const apart = async (prompt: string) => {
      const asked = { prompts: [prompt], guidance: 1 };
      const own = await video('dreamvideo', asked);
      const changed = await video('other.safetensors', {
        ...asked,
        base: at('base'),
        out: at('of-other'),
        reference: at('dreamvideo', 'reference.png'),
      });
      return maxAbsDifference(await latentsOf(own.latents), await latentsOf(changed.latents));
    };
    expect(await apart('a disc in the forest')).toBeGreaterThan(1e-3);
    expect(await apart('a house in the forest')).toBe(0);
    expect(messages().join()).toContain('"a house in the forest" does not name the subject');
  });

  it('DreamVideo: guidance 9 where none is asked for; no photo is taken by models without a condition', async () => {
    const record = async (path: string) => JSON.parse(await readFile(path, 'utf8')) as { guidance: number };
    const made = await video('dreamvideo');
    expect(await record(join(made.folder, 'request.json'))).toMatchObject({ guidance: 9, noiseOffset: 0.1 });
    const other = await video('lora', { reference: at('photos', '2.png') });
    expect(await record(join(other.folder, 'request.json'))).toMatchObject({ guidance: 6, reference: null });
    expect(messages().join()).toContain('the reference photo is not used: the model takes none');
  });

  it('LoRAs: one file added up, in diffusers’ layout, gives the run’s videos; so does one fused into weights', async () => {
    const out = at('joined.safetensors');
    await run(
      exportAdapter(exportRequestSchema.parse({ adapter: at('lora'), out, format: 'safetensors' }), {}),
    );
    const { lora } = await readLoraFile(out);
    expect(lora.get('transformer_blocks.0.attn1.to_q')!.down.shape[0]).toBe(4);
    const own = await latentsOf((await video('lora', { guidance: 1 })).latents);
    const given = { base: at('base'), out: at('of-lora'), guidance: 1 };
    const joined = await latentsOf((await video('joined.safetensors', given)).latents);
    expect(maxAbsDifference(own, joined)).toBeLessThan(1e-4);
    // A layer that hooks do not reach, with an update of nothing: all of the LoRA is fused then.
    const nothing = {
      down: floats([1, 32], new Float32Array(32)),
      up: floats([128, 1], new Float32Array(128)),
      scale: 1,
    };
    const wide = new Map([...lora, ['transformer_blocks.0.ff.net.0.proj', nothing] as const]);
    await writeLoraFile(at('wide.safetensors'), wide);
    const fused = await latentsOf((await video('wide.safetensors', given)).latents);
    expect(maxAbsDifference(own, fused)).toBeLessThan(1e-4);
  });

  it('LoRAs: an alpha that a file does not tell is told once', async () => {
    const source = at('lora', 'lora-motion.safetensors');
    const silent = at('silent.safetensors');
    await writeSafetensorsFile(silent, await readSafetensorsFile(source), {});
    const told = (change: Partial<ImportRequest>) =>
      run(
        importAdapter(importRequestSchema.parse({ source: silent, out: at('told.safetensors'), ...change })),
      );
    await expect(told({ source, alpha: 8 })).rejects.toThrow('use it as it is');
    await expect(told({})).rejects.toThrow('--alpha');
    await told({ alpha: 8 });
    const { lora, alpha } = await readLoraFile(at('told.safetensors'));
    expect([lora.get('transformer_blocks.0.attn1.to_q')!.scale, alpha]).toEqual([4, 'metadata']);
  });

  it('what has no other format is not exported', async () => {
    const asked = { adapter: at('full'), out: at('full.safetensors'), format: 'safetensors' };
    await expect(run(exportAdapter(exportRequestSchema.parse(asked), {}))).rejects.toThrow(
      'the method full trained',
    );
  });

  it.each([
    ['without-adaptation', { groups: 0 }, ['identity', 'motion']],
    ['without-controller', { groups: 0 }, [undefined]],
    ['without-groups', { groups: 1 }, [undefined]],
    ['groups-L', { groups: 2 }, [undefined]],
    ['without-mask', { groups: 2 }, [undefined]],
    ['skip-false', { skip: false }, [undefined]],
  ])('ablation %s trains, says so in its file and generates', async (ablation, options, stages) => {
    const out = `ablation-${ablation}`;
    await run(train(request('dualreal', out, { ablation, steps: 2 }), context()));
    const { recipe } = await readAdapterFile(at(out, 'adapter.safetensors'));
    expect(recipe).toMatchObject({ options, training: { ablation, steps: 2 } });
    expect([...new Set(steps().map(({ stage }) => stage?.name))]).toEqual(stages);
    if (ablation === 'without-adaptation') {
      expect(messages()).toContain('the ablation without-adaptation sets groups to 0');
      await video(out);
    }
  });

  it.each([
    ['no clips of the motion', 'lora', { motion: [] }, 'option --motion: expected to be given'],
    ['no generic clips', 'motionbooth', { generic: [] }, 'option --generic'],
    ['no word for the subject', 'dreamvideo', { subjectWord: undefined }, 'option --subject-word'],
    ['captions without the word', 'dreamvideo', { subjectWord: 'cat' }, 'the subject\'s word, "cat"'],
    ['a stage it does not have', 'lora', { stageSteps: { token: 3 } }, 'a stage of lora (identity, motion)'],
    ['fewer steps than stages', 'dreamvideo', { stageSteps: {}, steps: 2 }, 'at least one step for each'],
    ['an ablation nobody knows', 'dualreal', { ablation: 'without-luck' }, 'one of full, without-adaptation'],
    ['groups that do not divide', 'dualreal', { options: { groups: 7 } }, 'a divisor of the 2'],
  ] as const)('%s: refused, and no folder stays', async (_, method, change, message) => {
    const wrong = { ...change, ...('generic' in change && { generic: [] }) };
    await expect(
      run(train(request(method, 'wrong', wrong as Partial<TrainRequestInput>), context())),
    ).rejects.toThrow(message);
    expect(existsSync(at('wrong'))).toBe(false);
  });

  it('a mask of another size than its photo is refused by name', async () => {
    await mkdir(at('other'));
    await writeFile(at('other', '2.png'), await readFile(at('photos', '2.png')));
    await sharp({ create: { width: 5, height: 5, channels: 3, background: '#fff' } }).toFile(
      at('other', '2.mask.png'),
    );
    const change = { subject: [at('other')], steps: 2 };
    await expect(run(train(request('motionbooth', 'wrong', change), context()))).rejects.toThrow(
      /2\.mask\.png: expected a mask of the size of .*2\.png, 48×32/,
    );
  });

  it('a run that is not finished says which file it lacks', async () => {
    await expect(run(train(request('lora', 'half'), context(), { stopAfter: 1 }))).rejects.toThrow(
      CancelledError,
    );
    await expect(video('half')).rejects.toThrow(
      /lora-identity\.safetensors and lora-motion\.safetensors[\s\S]*--resume/,
    );
  });
});
