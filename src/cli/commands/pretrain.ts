import type { Command } from 'commander';
import { PRETRAINED_MODELS } from '../../toybox/pretrain/recipe.ts';
import { pretrain } from '../../workflows/pretrain.ts';
import { exportPretrained, pretrainExportRequestSchema } from '../../workflows/pretrain-export.ts';
import { pretrainRequestSchema } from '../../workflows/pretrain-request.ts';
import {
  formatScores,
  pretrainScoreRequestSchema,
  scorePretrained,
  scoresJson,
} from '../../workflows/pretrain-score.ts';
import { number, parseRequest } from '../options.ts';
import { runPrinted } from '../run.ts';
import { ofRun, onBase, training } from './pretrain-options.ts';

const VARIANTS = 'stage of the model (shipped)';

export function addPretrainCommands(program: Command): void {
  const command = program.command('pretrain').description('train the parts of the embedded base');
  for (const model of PRETRAINED_MODELS) {
    training(command.command(model).description(`train the base's ${model}`), VARIANTS)
      .option('--start-from <run>', 'begin with the parameters of another run')
      .option('--batch <n>', 'samples a step', number)
      .action(async (flags: object) => {
        const request = parseRequest(pretrainRequestSchema, { model, ...flags });
        const result = await runPrinted((context) => pretrain(request, context));
        process.stdout.write(`${result.runFolder}: step ${result.step} of ${result.totalSteps}\n`);
      });
  }
  ofRun(
    command.command('export <model>').description("write a run's averaged weights into the base"),
    VARIANTS,
  ).action(async (model: string, flags: object) => {
    const request = parseRequest(pretrainExportRequestSchema, { model, ...flags });
    const { models } = await runPrinted((context) => exportPretrained(request, context));
    process.stdout.write(`${JSON.stringify(models[request.model])}\n`);
  });
  onBase(command.command('score').description('measure the base on what never enters pretraining'))
    .option('--json', 'one object of numbers')
    .action(async ({ json, ...flags }: { json?: boolean }) => {
      const request = parseRequest(pretrainScoreRequestSchema, flags);
      const scores = await runPrinted((context) => scorePretrained(request, context));
      process.stdout.write(`${json ? JSON.stringify(scoresJson(scores)) : formatScores(scores)}\n`);
    });
}
