import type { Command } from 'commander';
import { demo, demoRequestSchema } from '../../workflows/demo.ts';
import { number, parseRequest } from '../options.ts';
import { runPrinted } from '../run.ts';

export function addDemoCommand(program: Command): void {
  program
    .command('demo')
    .description('train on the photos and clips that come with the project and generate videos')
    .option('--out <folder>', 'run folder to create (default: a new one in runs/)')
    .option('--steps <n>', 'training steps', number)
    .option('--base <folder>', 'base model (the embedded one)')
    .action(async (flags: object) => {
      const request = parseRequest(demoRequestSchema, { ...flags });
      const videos = await runPrinted((context) => demo(request, context));
      process.stdout.write(`\nvideos made:\n${videos.map(({ video }) => `  ${video}\n`).join('')}`);
    });
}
