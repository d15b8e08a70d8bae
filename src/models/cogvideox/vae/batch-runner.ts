import type { Executable, Runtime, Tensors, WeightTable } from '../../../runtime/index.ts';
import type { FloatTensor, HostTensor } from '../../../tensor/host-tensor.ts';
import type { VaeConfig } from './config.ts';
import { frameTensors, videoOf } from './host-video.ts';
import { type BatchProgram, type BatchShape, batchProgram, frameName, nextCacheName } from './programs.ts';
import { silentBranches } from './silent.ts';

/** What a batch of frames leaves for the next: the last inputs of every causal convolution, by name. */
export type BatchCaches = ReadonlyMap<string, HostTensor>;

/** Where a program's weights are: see CompileOptions.residence of the runtime. */
export type Residence = 'fold' | 'mapped';

interface Compiled extends BatchProgram {
  readonly executable: Executable;
}

/** Programs kept at a time: the one for a first batch and the one for those that follow. */
const KEPT_PROGRAMS = 2;

/** Runs one batch of frames at a time; compiles a program when its shape first appears. */
export class BatchRunner {
  readonly #runtime: Runtime;
  readonly #config: VaeConfig;
  readonly #weights: WeightTable;
  readonly #residence: Residence;
  readonly #isSilent: (path: string) => boolean;
  /** In order of last use. */
  readonly #compiled = new Map<string, Compiled>();

  constructor(runtime: Runtime, config: VaeConfig, weights: WeightTable, residence: Residence) {
    this.#runtime = runtime;
    this.#config = config;
    this.#weights = weights;
    this.#residence = residence;
    this.#isSilent = silentBranches(weights);
  }

  /**
   * Frames [B, F, C, H, W] of one batch, with what the batch before left (undefined for the first) →
   * results [B, F′, C′, H′, W′] and what this batch leaves.
   */
  async run(
    half: BatchShape['half'],
    video: FloatTensor,
    caches: BatchCaches | undefined,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly results: FloatTensor; readonly caches: BatchCaches }> {
    const [batch, frames, , height, width] = video.shape;
    const shapes = new Map([...(caches ?? [])].map(([name, tensor]) => [name, tensor.shape]));
    const compiled = await this.#program({ half, batch, frames, height, width, caches: shapes });
    const inputs: Tensors = Object.fromEntries(caches ?? []);
    for (const [i, frame] of frameTensors(video).entries()) inputs[frameName(i)] = frame;
    const outputs = await compiled.executable.run(inputs, { signal });
    const results = compiled.results.map((name) => outputs[name] as FloatTensor);
    const left = [...compiled.caches.keys()].map((name) => [name, outputs[nextCacheName(name)]] as const);
    return { results: videoOf(results), caches: new Map(left) };
  }

  async release(): Promise<void> {
    const all = [...this.#compiled.values()];
    this.#compiled.clear();
    for (const { executable } of all) await executable.release();
  }

  async #program(shape: BatchShape): Promise<Compiled> {
    const { half, batch, frames, height, width, caches } = shape;
    const key = [half, batch, frames, height, width, caches.size > 0].join();
    let compiled = this.#compiled.get(key);
    this.#compiled.delete(key);
    if (!compiled) {
      const [oldest] = this.#compiled;
      if (oldest && this.#compiled.size >= KEPT_PROGRAMS) {
        this.#compiled.delete(oldest[0]);
        await oldest[1].executable.release();
      }
      const traced = batchProgram(this.#config, shape, this.#isSilent);
      const executable = await this.#runtime.compile(traced.program, {
        weights: this.#weights,
        residence: this.#residence,
      });
      compiled = { ...traced, executable };
    }
    this.#compiled.set(key, compiled);
    return compiled;
  }
}
