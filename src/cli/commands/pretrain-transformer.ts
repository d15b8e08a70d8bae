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

const onDevice = (command: Command): Command =>
  command
    .option('--weights-folder <path>', 'folder of the base (weights/toybox)')
    .option('--device <name>', 'cpu, webgpu or cuda (cpu)')
    .option('--threads <n>', 'compute threads', number);

const ofRun = (command: Command): Command =>
  onDevice(command)
    .option('--variant <name>', 'shipped, gpu (large batches) or tiny (shipped)')
    .option('--name <name>', 'name of the run (transformer, and the variant)')
    .option('--state-folder <path>', 'where runs and latents lie (training-state)');

/** Adds the transformer to `dualreal pretrain`. */
export function addPretrainTransformerCommands(program: Command): void {
  const command =
    program.commands.find((known) => known.name() === 'pretrain') ??
    program.command('pretrain').description('train the parts of the embedded base');
  ofRun(command.command('transformer').description("train the base's diffusion transformer"))
    .option('--resume', 'go on with the run of this name')
    .option('--start-from <run>', 'begin with the averaged parameters of another run (shipped: of the base)')
    .option('--minutes <n>', 'stop, saved, after this long', number)
    .option('--steps <n>', 'length of the schedule', number)
    .option('--batch <n>', 'clips a step', number)
    .option('--image-batch <n>', 'images a step', number)
    .option('--image-steps <n>', 'steps on images alone, at the start', number)
    .option('--micro-batches <n>', 'parts that a batch is computed in (1)', number)
    .option('--checkpointed', 'compute blocks again in the backward pass, for less memory')
    .option('--clips <n>', 'clips in the bank of latents', number)
    .option('--images <n>', 'images in the bank of latents', number)
    .option('--learning-rate <x>', 'after the warm-up', number)
    .option('--subject-weight <x>', 'loss weight where the subject is', number)
    .option('--clip-tokens <n>', "tokens of a clip that a step trains on, the subject's ahead (all)", number)
    .option('--stage <n>', 'how much of the universe: 1 or 2', number)
    .option('--seed <n>', 'seed (1)', number)
    .option('--render-threads <n>', 'threads that render the bank', number)
    .option('--checkpoint-minutes <n>', 'how often to save (3)', number)
    .option('--review-minutes <n>', 'how often to draw samples (5)', number)
    .action(async (flags: Record<string, unknown>) => {
      const request = parseRequest(pretrainTransformerRequestSchema, flags);
      const result = await runPrinted((context) => pretrainTransformer(request, context));
      process.stdout.write(`${result.runFolder}: step ${result.step} of ${result.totalSteps}\n`);
    });
  ofRun(
    command.command('export-transformer').description("write a run's averaged transformer into the base"),
  ).action(async (flags: Record<string, unknown>) => {
    const request = parseRequest(exportTransformerRequestSchema, flags);
    const { models } = await runPrinted((context) => exportTransformer(request, context));
    process.stdout.write(`${JSON.stringify(models.transformer)}\n`);
  });
  onDevice(
    command
      .command('score-transformer')
      .description('classify generated and real clips of unseen combinations'),
  )
    .option('--samples <n>', 'prompts (200)', number)
    .option('--steps <n>', 'denoising steps (30)', number)
    .option('--guidance <x>', 'guidance (2.5)', number)
    .option('--stage <n>', 'how much of the universe: 1 or 2', number)
    .option('--training-clips <n>', 'rendered clips that the motion classifier learns from (3000)', number)
    .option('--real-only', 'measure the classifiers on real clips alone')
    .action(async (flags: Record<string, unknown>) => {
      const request = parseRequest(scoreTransformerRequestSchema, flags);
      const scores = await runPrinted((context) => scoreTransformer(request, context));
      process.stdout.write(`${formatTransformerScores(scores)}\n`);
    });
}
