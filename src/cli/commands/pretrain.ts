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

const onDevice = (command: Command): Command =>
  command
    .option('--weights-folder <path>', 'folder of the base (weights/toybox)')
    .option('--cache-folder <path>', 'folder of the decoded art (.cache)')
    .option('--art-folder <path>', 'folder of the art packages')
    .option('--device <name>', 'cpu, webgpu or cuda (cpu)')
    .option('--threads <n>', 'compute threads', number);

const ofRun = (command: Command): Command =>
  onDevice(command)
    .option('--variant <name>', 'stage of the model (shipped)')
    .option('--name <name>', 'name of the run (the model, and the variant)')
    .option('--state-folder <path>', 'where runs lie (training-state)');

export function addPretrainCommands(program: Command): void {
  const command = program.command('pretrain').description('train the parts of the embedded base');
  for (const model of PRETRAINED_MODELS) {
    ofRun(command.command(model).description(`train the base's ${model}`))
      .option('--resume', 'go on with the run of this name')
      .option('--start-from <run>', 'begin with the parameters of another run')
      .option('--minutes <n>', 'stop, saved, after this long', number)
      .option('--steps <n>', 'length of the schedule', number)
      .option('--batch <n>', 'samples a step', number)
      .option('--seed <n>', 'seed (1)', number)
      .option('--checkpoint-minutes <n>', 'how often to save (3)', number)
      .option('--review-minutes <n>', 'how often to judge and draw (5)', number)
      .action(async (flags: object) => {
        const request = parseRequest(pretrainRequestSchema, { model, ...flags });
        const result = await runPrinted((context) => pretrain(request, context));
        process.stdout.write(`${result.runFolder}: step ${result.step} of ${result.totalSteps}\n`);
      });
  }
  ofRun(command.command('export <model>').description("write a run's averaged weights into the base")).action(
    async (model: string, flags: object) => {
      const request = parseRequest(pretrainExportRequestSchema, { model, ...flags });
      const { models } = await runPrinted((context) => exportPretrained(request, context));
      process.stdout.write(`${JSON.stringify(models[request.model])}\n`);
    },
  );
  onDevice(command.command('score').description('measure the base on what never enters pretraining'))
    .option('--json', 'one object of numbers')
    .action(async ({ json, ...flags }: { json?: boolean }) => {
      const request = parseRequest(pretrainScoreRequestSchema, flags);
      const scores = await runPrinted((context) => scorePretrained(request, context));
      process.stdout.write(`${json ? JSON.stringify(scoresJson(scores)) : formatScores(scores)}\n`);
    });
}
