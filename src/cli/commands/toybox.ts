import type { Command } from 'commander';
import { previewUniverse, previewUniverseRequestSchema } from '../../workflows/preview-universe.ts';
import { number, parseRequest } from '../options.ts';
import { runPrinted } from '../run.ts';

export function addToyboxCommands(program: Command): void {
  const toybox = program.command('toybox').description('the synthetic universe behind the embedded base');
  toybox
    .command('preview')
    .description('contact sheets of the universe; installs its art first (750 MB, from the npm registry)')
    .option('--out <folder>', 'where the sheets go (outputs/toybox-preview)')
    .option('--seed <n>', 'seed (1)', number)
    .option('--frames <n>', 'frames of each clip, 4k+1 (9)', number)
    .option('--clips <n>', 'clips on the sheet of samples (40)', number)
    .option('--cache-folder <path>', 'folder of the decoded art')
    .option('--art-folder <path>', 'folder of the art packages')
    .action(async (flags: object) => {
      const request = parseRequest(previewUniverseRequestSchema, { ...flags });
      const { sheets } = await runPrinted((context) => previewUniverse(request, context));
      process.stdout.write(`${sheets.join('\n')}\n`);
    });
}
