import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Command } from 'commander';
import { demo, demoRequestSchema } from '../../workflows/demo.ts';
import { collect, keyValue, number, parseRequest } from '../options.ts';
import { runPrinted } from '../run.ts';

interface DemoFlags {
  readonly prompt?: readonly string[];
  readonly option?: Readonly<Record<string, unknown>>;
}

export function addDemoCommand(program: Command): void {
  program
    .command('demo')
    .description('train on the photos and clips that come with the project, generate videos, write a report')
    .option(
      '--out <folder>',
      'run folder to create, or of a demo to go on with (default: a new one in runs/)',
    )
    .option('--steps <n>', 'training steps (1000)', number)
    .option('--base <folder>', 'base model: toybox or a folder (toybox)')
    .option('--preset <name>', 'official | paper | clean (clean)')
    .option('--option <key=value>', 'one difference from the preset (repeatable)', keyValue)
    .option('--prompt <text>', 'a video to make (repeatable; default: four)', collect)
    .option('--video-steps <n>', 'denoising steps of a video (30)', number)
    .option('--guidance <x>', 'classifier-free guidance; 1: none (3)', number)
    .option('--seed <n>', 'seed of the videos (42)', number)
    .option('--threads <n>', 'compute threads', number)
    .action(async ({ prompt, option, ...flags }: DemoFlags) => {
      const request = parseRequest(demoRequestSchema, {
        ...flags,
        ...(prompt && { prompts: prompt }),
        ...(option && { options: option }),
      });
      const { videos, report } = await runPrinted((context) => demo(request, context));
      process.stdout.write(`\nvideos made:\n${videos.map(({ video }) => `  ${video}\n`).join('')}`);
      process.stdout.write(`\nthe report, to open in a browser:\n  ${pathToFileURL(resolve(report)).href}\n`);
    });
}
