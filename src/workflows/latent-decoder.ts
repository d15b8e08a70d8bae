import { existsSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type DecodeState, VaeCodec, type VaeConfig } from '../models/cogvideox/vae/index.ts';
import type { Runtime } from '../runtime/index.ts';
import type { WeightFiles } from '../store/weights.ts';
import { FileFormatError } from '../tensor/errors.ts';
import { asFloats, type FloatTensor, floats, type HostTensor } from '../tensor/host-tensor.ts';
import { readSafetensorsFile, writeSafetensorsFile } from '../tensor/safetensors.ts';
import { residenceOf } from './residence.ts';
import { secondsLeft, type WorkflowContext, type WorkflowEvent } from './workflow.ts';

const FRAMES = 'frames';
const STATE_PREFIX = 'state/';
const STEP_FILE = /^step-(\d{4})\.safetensors$/;

/** Latents to pixels, one batch of frames (or tile) at a time, taken up again where it was interrupted. */
export class LatentDecoder {
  private readonly codec: VaeCodec;

  constructor(runtime: Runtime, config: VaeConfig, weights: WeightFiles) {
    this.codec = new VaeCodec(runtime, config, weights.entries, { residence: residenceOf(weights) });
  }

  /**
   * Latents [1, f, C, h, w] → frames [F, 3, H, W], about [−1, 1]. With a `folder` every step is kept there
   * until {@link clean}, so that a decoding of the same latents goes on after the last whole one.
   */
  async *decode(
    latents: FloatTensor,
    folder: string | undefined,
    context: WorkflowContext,
  ): AsyncGenerator<WorkflowEvent, FloatTensor> {
    const { from, frames } = folder ? await readSteps(folder) : { from: undefined, frames: [] };
    const started = context.clock();
    const first = from?.step ?? 0;
    for await (const step of this.codec.decodeSteps(latents, { signal: context.signal, from })) {
      if (step.frames) frames.push(step.frames);
      if (folder) await writeStep(folder, step.state, step.frames);
      const done = step.state.step;
      const left = secondsLeft(started, context.clock(), done - first, step.steps - first);
      yield {
        type: 'progress',
        stage: 'decoding',
        done,
        total: step.steps,
        ...(left !== undefined && { secondsLeft: left }),
      };
    }
    return joined(frames);
  }

  /** Removes what {@link decode} kept, once its result is safe. */
  async clean(folder: string): Promise<void> {
    await rm(folder, { recursive: true, force: true });
  }

  release(): Promise<void> {
    return this.codec.release();
  }
}

async function writeStep(folder: string, { step, tensors }: DecodeState, frames: FloatTensor | undefined) {
  await mkdir(folder, { recursive: true });
  const stored = new Map<string, HostTensor>(
    [...tensors].map(([name, tensor]) => [STATE_PREFIX + name, tensor]),
  );
  if (frames) stored.set(FRAMES, frames);
  await writeSafetensorsFile(join(folder, `step-${String(step).padStart(4, '0')}.safetensors`), stored);
}

/** The steps kept in a folder, as far as they are whole and follow each other; the rest is decoded again. */
async function readSteps(folder: string): Promise<{ from: DecodeState | undefined; frames: FloatTensor[] }> {
  const names = existsSync(folder)
    ? (await readdir(folder)).filter((name) => STEP_FILE.test(name)).sort()
    : [];
  const frames: FloatTensor[] = [];
  let from: DecodeState | undefined;
  for (const name of names) {
    const step = Number(STEP_FILE.exec(name)![1]);
    if (step !== (from?.step ?? 0) + 1) break;
    const stored = await readWhole(join(folder, name));
    if (!stored) break;
    const tensors = new Map<string, HostTensor>();
    for (const [key, tensor] of stored) {
      if (key === FRAMES) frames.push(asFloats(tensor));
      else tensors.set(key.slice(STATE_PREFIX.length), tensor);
    }
    from = { step, tensors };
  }
  return { from, frames };
}

async function readWhole(path: string): Promise<ReadonlyMap<string, HostTensor> | undefined> {
  try {
    return await readSafetensorsFile(path);
  } catch (error) {
    if (error instanceof FileFormatError) return undefined;
    throw error;
  }
}

/** Pieces [1, n, 3, H, W] → [F, 3, H, W]. */
function joined(pieces: readonly FloatTensor[]): FloatTensor {
  const count = pieces.reduce((sum, piece) => sum + piece.shape[1], 0);
  const data = new Float32Array(pieces.reduce((sum, piece) => sum + piece.data.length, 0));
  let at = 0;
  for (const piece of pieces) {
    data.set(piece.data, at);
    at += piece.data.length;
  }
  return floats([count, ...pieces[0].shape.slice(2)], data);
}
