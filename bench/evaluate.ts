/**
 * Time of evaluating clips of 17 frames at 64 × 64 on every metric with encoders of the embedded base's sizes (its
 * own where they are there, else random weights): the whole workflow for one clip, with everything opened and
 * compiled, and what a further clip costs. Prints one JSON line; the bar is 1 s for a clip on 2 cores. Processor time
 * is told too, because it does not count other work on the machine. `npm run bench -- evaluate`.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { input } from '../src/graph/index.ts';
import { encodePhoto, encodeVideo } from '../src/media/index.ts';
import { clipConfigJson } from '../src/models/clip/index.ts';
import { dinoConfigJson } from '../src/models/dino/index.ts';
import { encoderFamily } from '../src/models/encoder-family.ts';
import { Parameters } from '../src/nn/parameters.ts';
import { createRuntime } from '../src/runtime/index.ts';
import { floats, type HostTensor } from '../src/tensor/host-tensor.ts';
import { randomStream } from '../src/tensor/random.ts';
import { writeSafetensorsFile } from '../src/tensor/safetensors.ts';
import { sizeOf } from '../src/tensor/shape.ts';
import { clipConfig, dinoConfig, SIDE } from '../src/toybox/pretrain/configs.ts';
import { clipTokenizerFiles } from '../src/toybox/pretrain/tokenizers.ts';
import { evaluate } from '../src/workflows/evaluate.ts';
import { evaluateRequestSchema } from '../src/workflows/evaluate-request.ts';
import { runWorkflow } from '../src/workflows/workflow.ts';
import { discClip } from '../test/metric-clips.ts';

const FRAMES = 17;
const MORE_CLIPS = 9;
const folder = mkdtempSync(join(tmpdir(), 'dualreal-bench-'));

async function encoderFolder(name: string, config: Record<string, unknown>): Promise<string> {
  const shipped = join('weights', 'toybox', name);
  if (existsSync(shipped)) return shipped;
  const made = join(folder, name);
  mkdirSync(made);
  const { json, config: tokenizer } = clipTokenizerFiles();
  writeFileSync(join(made, 'config.json'), JSON.stringify(config));
  writeFileSync(join(made, 'tokenizer.json'), JSON.stringify(json));
  writeFileSync(join(made, 'tokenizer_config.json'), JSON.stringify(tokenizer));
  const parameters = new Parameters();
  const { imageFeatures, imageSide, text } = encoderFamily(config);
  imageFeatures(parameters.root, input('pixels', [1, 3, imageSide, imageSide]));
  text?.features(parameters.root, input('ids', [1, text.tokens], 'i64'));
  const tensors = new Map<string, HostTensor>();
  for (const [path, { shape }] of parameters.declared) {
    const values = randomStream(0, path).normals(sizeOf(shape));
    tensors.set(
      path,
      floats(
        shape,
        values.map((value) => value / 8),
      ),
    );
  }
  await writeSafetensorsFile(join(made, 'model.safetensors'), tensors, {});
  return made;
}

try {
  const videos: string[] = [];
  for (let i = 0; i <= MORE_CLIPS; i++) {
    videos.push(join(folder, `video-${i}.mp4`));
    await encodeVideo(
      videos[i],
      discClip(FRAMES, SIDE, (frame) => [frame - 8, Math.sin(frame + i)], i),
      { fps: 8 },
    );
  }
  for (const name of ['photos', 'motion']) mkdirSync(join(folder, name));
  for (let i = 0; i < 5; i++) {
    const photo = discClip(1, 256, () => [0, 0], i);
    await encodePhoto(join(folder, 'photos', `${i}.png`), { ...photo, shape: photo.shape.slice(1) });
    const clip = discClip(FRAMES, SIDE, (frame) => [frame - 8, 0], i + 20);
    await encodeVideo(join(folder, 'motion', `${i}.mp4`), clip, { fps: 8 });
  }
  const [clip, dino] = [
    await encoderFolder('image_encoder', clipConfigJson(clipConfig())),
    await encoderFolder('dino', dinoConfigJson(dinoConfig())),
  ];

  const timed = async (count: number) => {
    const request = evaluateRequestSchema.parse({
      videos: videos.slice(0, count),
      prompt: 'a penguin is jumping in the forest',
      subject: [join(folder, 'photos')],
      motion: [join(folder, 'motion')],
      clip,
      dino,
      threads: 2,
    });
    const context = {
      clock: () => performance.now(),
      openRuntime: () => createRuntime({ threads: 2 }),
    };
    const used = process.cpuUsage();
    const started = performance.now();
    const report = await runWorkflow(evaluate(request, context), () => {});
    if (report.missing.length > 0)
      throw new Error(`not every metric was taken: ${JSON.stringify(report.missing)}`);
    const { user, system } = process.cpuUsage(used);
    return { ms: performance.now() - started, processorMs: (user + system) / 1000 };
  };
  const first = await timed(1);
  const again = await timed(1);
  const many = await timed(1 + MORE_CLIPS);
  const whole = (ms: number) => Math.round(ms);
  console.log(
    JSON.stringify({
      bench: 'evaluate',
      frames: FRAMES,
      side: SIDE,
      weights: clip.startsWith('weights') ? 'embedded' : 'random',
      firstMs: whole(first.ms),
      firstProcessorMs: whole(first.processorMs),
      againMs: whole(again.ms),
      againProcessorMs: whole(again.processorMs),
      furtherClipMs: whole((many.ms - again.ms) / MORE_CLIPS),
      furtherClipProcessorMs: whole((many.processorMs - again.processorMs) / MORE_CLIPS),
    }),
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
