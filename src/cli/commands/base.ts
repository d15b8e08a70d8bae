import type { Command } from 'commander';
import { initBase, initBaseRequestSchema } from '../../workflows/init-base.ts';
import { number, parseRequest } from '../options.ts';
import { runPrinted } from '../run.ts';

export function addBaseCommand(program: Command): void {
  const base = program.command('base').description('base models');
  base
    .command('init')
    .description('write a small base with random weights, in the layout of a real one')
    .argument('<folder>', 'folder to create')
    .option('--size <name>', 'toy | tiny')
    .option('--seed <n>', 'seed of the weights (0)', number)
    .action(async (out: string, flags: object) => {
      const request = parseRequest(initBaseRequestSchema, { out, ...flags });
      process.stdout.write(`${await runPrinted(() => initBase(request))}\n`);
    });
}
