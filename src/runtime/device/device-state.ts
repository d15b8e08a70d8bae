import type * as ort from 'onnxruntime-node';
import { floats, type HostTensor, zeros } from '../../tensor/host-tensor.ts';
import { type AdamW, type AdamWSettings, NonFiniteGradientError, rateOf } from '../optimizer/adamw.ts';
import type { ParameterArena } from '../optimizer/parameter-arena.ts';
import { openSession, type SessionSettings, toOrtTensor } from '../session.ts';
import { type DeviceLayout, ROW } from './layout.ts';
import { COEFFICIENTS, GRADIENTS, NEXT_GRADIENTS, PARAMETERS, type Plane, planesOf } from './programs.ts';

/** What keeps trainable state on a device: its programs, as ONNX. */
export interface DeviceModels {
  readonly layout: DeviceLayout;
  readonly update: Uint8Array;
  readonly move: Uint8Array;
  readonly session: SessionSettings;
}

type Report = ReturnType<AdamW['step']>;
type Outputs = Record<string, ort.Tensor>;

/**
 * The planes of a trainer in the device's memory. The arena beside it is where they are staged when they are
 * loaded and read; between those its values are old.
 */
export class DeviceState {
  private readonly arena: ParameterArena;
  private readonly layout: DeviceLayout;
  private readonly settings: AdamWSettings;
  private readonly planeNames: readonly Plane[];
  private readonly update: ort.InferenceSession;
  private readonly up: ort.InferenceSession;
  private readonly down: ort.InferenceSession;
  private readonly planes = new Map<Plane, ort.Tensor>();
  private zeros: ort.Tensor | undefined;
  private steps: number[];

  private constructor(
    arena: ParameterArena,
    settings: AdamWSettings,
    layout: DeviceLayout,
    [update, up, down]: readonly ort.InferenceSession[],
  ) {
    this.arena = arena;
    this.settings = settings;
    this.layout = layout;
    this.planeNames = planesOf(arena.hasAverage);
    [this.update, this.up, this.down] = [update, up, down];
    this.steps = arena.tensors.map(() => 0);
  }

  static async open(
    arena: ParameterArena,
    settings: AdamWSettings,
    models: DeviceModels,
  ): Promise<DeviceState> {
    const next = planesOf(arena.hasAverage).map((plane) => `next.${plane}`);
    const { session } = models;
    const update = await openSession(models.update, { ...session, deviceOutputs: next });
    const up = await openSession(models.move, { ...session, deviceOutputs: ['moved'] });
    const down = await openSession(models.move, session);
    return new DeviceState(arena, settings, models.layout, [update, up, down]);
  }

  /** Parameters as step programs take them. */
  get parameters(): ort.Tensor {
    return this.planes.get('parameters')!;
  }

  /** A sum of no gradients. */
  get noGradients(): ort.Tensor {
    return this.zeros!;
  }

  /** Brings the arena's values and the optimizer's step counts onto the device. */
  async upload(optimizer: AdamW): Promise<void> {
    for (const plane of this.planeNames) {
      const data = new Float32Array(this.layout.rows * ROW);
      for (const { name, row } of this.layout.tensors) data.set(this.staged(plane, name), row * ROW);
      const tensor = toOrtTensor(floats([this.layout.rows, ROW], data));
      this.planes.get(plane)?.dispose();
      this.planes.set(plane, await this.moved(this.up, tensor, 1));
    }
    this.zeros ??= await this.moved(this.up, toOrtTensor(zeros('f32', [this.layout.rows, ROW])), 1);
    this.steps = this.arena.tensors.map(({ name }) => optimizer.stepsOf(name));
  }

  /** Brings the device's values into the arena and the optimizer's state. */
  async download(optimizer: AdamW): Promise<void> {
    for (const plane of this.planeNames) {
      const moved = await this.moved(this.down, this.planes.get(plane)!, 1);
      const data = moved.data as Float32Array;
      for (const { name, row } of this.layout.tensors) {
        const target = this.staged(plane, name);
        target.set(data.subarray(row * ROW, row * ROW + target.length));
      }
    }
    optimizer.restoreSteps(this.steps);
  }

  /** Runs a step program for each micro-batch; their gradients add up on the device. */
  async accumulate(
    session: ort.InferenceSession,
    feeds: readonly Outputs[],
    run: (session: ort.InferenceSession, feeds: Outputs) => Promise<Outputs>,
    inspect: (outputs: Outputs) => void,
  ): Promise<ort.Tensor> {
    let gradients = this.zeros!;
    for (const feed of feeds) {
      const { [NEXT_GRADIENTS]: next, ...plain } = await run(session, {
        ...feed,
        [PARAMETERS]: this.parameters,
        [GRADIENTS]: gradients,
      });
      this.release(gradients);
      gradients = next;
      try {
        inspect(plain);
      } catch (cause) {
        this.release(gradients);
        throw cause;
      }
    }
    return gradients;
  }

  /** One update with the sum of `count` gradients; nothing changes where they are not finite. */
  async step(
    gradients: ort.Tensor,
    count: number,
    learningRate: number,
    learns: (name: string) => boolean,
    run: (session: ort.InferenceSession, feeds: Outputs) => Promise<Outputs>,
  ): Promise<Report> {
    const next = this.steps.map((step, i) => step + (learns(this.arena.tensors[i].name) ? 1 : 0));
    const results = await run(this.update, {
      ...Object.fromEntries(this.planes),
      [GRADIENTS]: gradients,
      gradientScale: toOrtTensor(floats([], [1 / count])),
      coefficients: toOrtTensor(this.coefficients(learningRate, next)),
    });
    this.release(gradients);
    const gradientNorm = Number(results.gradientNorm.data[0]);
    const finite = Number.isFinite(gradientNorm);
    for (const plane of this.planeNames) {
      const fresh = results[`next.${plane}`];
      const old = finite ? this.planes.get(plane)! : fresh;
      if (finite) this.planes.set(plane, fresh);
      old.dispose();
    }
    if (!finite) {
      throw new NonFiniteGradientError({
        where: 'gradients on the device',
        expected: 'a finite norm',
        got: String(gradientNorm),
        hint: 'parameters and optimizer state are as they were before this step; a lower learning rate often helps',
      });
    }
    this.steps = next;
    return { gradientNorm, clippedBy: Number(results.clippedBy.data[0]) };
  }

  async close(): Promise<void> {
    for (const tensor of this.planes.values()) tensor.dispose();
    this.zeros?.dispose();
    for (const session of [this.update, this.up, this.down]) await session.release();
  }

  private coefficients(learningRate: number, next: readonly number[]): HostTensor {
    const { betas, weightDecay } = this.settings;
    const rows = next.flatMap((step, i) => {
      if (step === this.steps[i]) return [0, 1, 0, 1];
      const rate = learningRate * rateOf(this.arena.tensors[i].group, this.settings);
      return [1, 1 - rate * weightDecay, -rate / (1 - betas[0] ** step), 1 / Math.sqrt(1 - betas[1] ** step)];
    });
    return floats([next.length, COEFFICIENTS.length], rows);
  }

  private staged(plane: Plane, name: string): Float32Array {
    if (plane === 'parameters') return this.arena.parameterOf(name);
    if (plane === 'average') return this.arena.averageOf(name);
    return this.arena.momentsOf(name)[plane];
  }

  private async moved(session: ort.InferenceSession, plane: ort.Tensor, factor: number): Promise<ort.Tensor> {
    const { moved } = await session.run({ plane, factor: toOrtTensor(floats([], [factor])) });
    return moved;
  }

  private release(gradients: ort.Tensor): void {
    if (gradients !== this.zeros) gradients.dispose();
  }
}
