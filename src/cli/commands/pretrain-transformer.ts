import type { Command } from 'commander';
import { pretrainTransformer } from '../../workflows/pretrain-transformer.ts';
import {
  exportTransformer,
  exportTransformerRequestSchema,
} from '../../workflows/pretrain-transformer-export.ts';
import { pretrainTransformerRequestSchema } from '../../workflows/pretrain-transformer-request.ts';
import {
  formatTransformerScores,
  scoreTransformer,
  scoreTransformerRequestSchema,
} from '../../workflows/pretrain-transformer-score.ts';
import { number, parseRequest } from '../options.ts';
import { runPrinted } from '../run.ts';
import { ofRun, onBase, training } from './pretrain-options.ts';

const VARIANTS = 'shipped, gpu (large batches) or tiny (shipped)';

/** Adds the transformer to `dualreal pretrain`. */
export function addPretrainTransformerCommands(program: Command): void {
  const command =
    program.commands.find((known) => known.name() === 'pretrain') ??
    program.command('pretrain').description('train the parts of the embedded base');
  training(command.command('transformer').description("train the base's diffusion transformer"), VARIANTS)
    .option('--start-from <run>', 'begin with the averaged parameters of another run (shipped: of the base)')
    .option('--batch <n>', 'clips a step', number)
    .option('--image-batch <n>', 'images a step', number)
    .option('--image-steps <n>', 'steps on images alone, at the start', number)
    .option('--micro-batches <n>', 'parts that a batch is computed in (1)', number)
    .option('--checkpointed', 'compute blocks again in the backward pass, for less memory')
    .option('--clips <n>', 'clips in the bank of latents', number)
    .option('--images <n>', 'images in the bank of latents', number)
    .option('--learning-rate <x>', 'after the warm-up', number)
    .option('--subject-weight <x>', 'loss weight where the subject is', number)
    .option(
      '--clip-tokens <n>',
      "every other step is on so many tokens of more clips, the subject's ahead",
      number,
    )
    .option('--stage <n>', 'how much of the universe: 1, 2 or 3 (free motions too)', number)
    .option('--render-threads <n>', 'threads that render the bank', number)
    .action(async (flags: Record<string, unknown>) => {
      const request = parseRequest(pretrainTransformerRequestSchema, flags);
      const result = await runPrinted((context) => pretrainTransformer(request, context));
      process.stdout.write(`${result.runFolder}: step ${result.step} of ${result.totalSteps}\n`);
    });
  ofRun(
    command.command('export-transformer').description("write a run's averaged transformer into the base"),
    VARIANTS,
  ).action(async (flags: Record<string, unknown>) => {
    const request = parseRequest(exportTransformerRequestSchema, flags);
    const { models } = await runPrinted((context) => exportTransformer(request, context));
    process.stdout.write(`${JSON.stringify(models.transformer)}\n`);
  });
  onBase(
    command
      .command('score-transformer')
      .description('classify generated and real clips of unseen combinations'),
  )
    .option('--samples <n>', 'prompts (200)', number)
    .option('--steps <n>', 'denoising steps (30)', number)
    .option('--guidance <x>', "guidance (the base's, 3)", number)
    .option('--stage <n>', 'how much of the universe: 1 or 2', number)
    .option('--training-clips <n>', 'rendered clips that the motion classifier learns from (3000)', number)
    .option('--real-only', 'measure the classifiers on real clips alone')
    .action(async (flags: Record<string, unknown>) => {
      const request = parseRequest(scoreTransformerRequestSchema, flags);
      const scores = await runPrinted((context) => scoreTransformer(request, context));
      process.stdout.write(`${formatTransformerScores(scores)}\n`);
    });
}
