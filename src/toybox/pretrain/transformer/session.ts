import type { TransformerConfig } from '../../../models/cogvideox/transformer/index.ts';
import type { Executable, Runtime, Tensors, Trainer } from '../../../runtime/index.ts';
import { DualrealError } from '../../../tensor/errors.ts';
import type { HostTensor } from '../../../tensor/host-tensor.ts';
import { learningRateAt } from '../recipe.ts';
import { AVERAGE, OPTIMIZER, type PretrainingStep, tableBelow } from '../session.ts';
import type { TensorTable } from '../task.ts';
import {
  initialTransformer,
  type LatentBatchShape,
  type TransformerObjective,
  transformerObjective,
} from './objective.ts';
import { batchOfStep, type StepKind, type TransformerVariant } from './variants.ts';

type Executables = Readonly<Partial<Record<StepKind, Executable>>>;

/** One trainer with a program for each kind of batch. */
export class TransformerSession {
  private readonly variant: TransformerVariant;
  private readonly trainer: Trainer;
  private readonly executables: Executables;

  private constructor(variant: TransformerVariant, trainer: Trainer, executables: Executables) {
    this.variant = variant;
    this.trainer = trainer;
    this.executables = executables;
  }

  /** Starts from freshly drawn parameters; batches are split into `microBatches` equal parts. */
  static async open(
    runtime: Runtime,
    config: TransformerConfig,
    variant: TransformerVariant,
    textWeights: TensorTable,
    { seed, microBatches }: { readonly seed: number; readonly microBatches: number },
  ): Promise<TransformerSession> {
    const { recipe, checkpointed, clipTokens } = variant;
    const { sampleHeight: side } = config;
    const latentFrames = 1 + (config.sampleFrames - 1) / config.temporalCompression;
    const clipSize = latentFrames * side * side;
    if (clipTokens >= clipSize) {
      const expected = `fewer than the ${clipSize} tokens of a clip`;
      throw new DualrealError({ where: 'clipTokens', expected, got: String(clipTokens) });
    }
    const trace = (kind: StepKind) => {
      const shape: LatentBatchShape = {
        batch: batchOfStep(variant, kind, clipSize) / microBatches,
        latentFrames: kind === 'images' ? 1 : latentFrames,
        side,
        ...(kind === 'parts' && { tokens: clipTokens }),
      };
      return transformerObjective(config, shape, { checkpointed });
    };
    const images = trace('images');
    const trainer = await runtime.createTrainer({
      tensors: [...images.trainable].map(([name, { shape }]) => ({ name, shape, group: 'model' })),
      optimizer: {
        betas: recipe.betas,
        epsilon: 1e-8,
        weightDecay: recipe.weightDecay,
        maxGradientNorm: recipe.maxGradientNorm,
      },
      averageDecay: recipe.averageDecay,
    });
    await trainer.load({ parameters: initialTransformer(images.trainable, seed) });
    const weights = new Map(textWeights);
    const compile = ({ program }: TransformerObjective) => runtime.compile(program, { weights, trainer });
    return new TransformerSession(variant, trainer, {
      images: await compile(images),
      clips: await compile(trace('clips')),
      ...(clipTokens > 0 && { parts: await compile(trace('parts')) }),
    });
  }

  get parameterCount(): number {
    return this.trainer.tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  }

  async step(kind: StepKind, step: number, microBatches: readonly Tensors[]): Promise<PretrainingStep> {
    const learningRate = learningRateAt(this.variant.recipe, step);
    const { outputs, gradientNorm } = await this.executables[kind]!.trainStep({ microBatches, learningRate });
    const loss = outputs.reduce((sum, output) => sum + Number(output.loss.data[0]), 0) / outputs.length;
    return { loss, numbers: { [kind]: loss }, learningRate, gradientNorm };
  }

  /** Everything that the next steps depend on, by name. */
  async state(): Promise<Map<string, HostTensor>> {
    const { parameters, optimizer, average } = await this.trainer.read();
    const under = (prefix: string, table: TensorTable) =>
      [...table].map(([name, tensor]) => [prefix + name, tensor] as const);
    return new Map([...parameters, ...under(OPTIMIZER, optimizer), ...under(AVERAGE, average!)]);
  }

  /** Continues exactly where {@link state} was taken. */
  async load(state: TensorTable): Promise<void> {
    await this.trainer.load({
      parameters: new Map([...state].filter(([name]) => !name.includes('/'))),
      optimizer: tableBelow(state, OPTIMIZER),
      average: tableBelow(state, AVERAGE),
    });
  }

  /** Begins anew from the averaged parameters of another run's {@link state}. */
  async start(average: TensorTable): Promise<void> {
    await this.trainer.load({ parameters: new Map(average) });
  }

  /** The moving average of the parameters: what is judged and exported. */
  async average(): Promise<TensorTable> {
    return (await this.trainer.read()).average!;
  }
}
