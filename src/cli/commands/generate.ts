import type { Command } from 'commander';
import { generate } from '../../workflows/generate.ts';
import { generateRequestSchema } from '../../workflows/generate-request.ts';
import { collect, number, parseRequest, RequestError } from '../options.ts';
import { runPrinted } from '../run.ts';

interface GenerateFlags {
  readonly run?: string;
  readonly adapter?: string;
  readonly prompt?: readonly string[];
  /** Commander's form of --no-reference: false; otherwise a path or absent. */
  readonly reference?: string | boolean;
}

export function addGenerateCommand(program: Command): void {
  program
    .command('generate')
    .description('generate videos with a trained run, an adapter file, or the base alone')
    .option('--run <folder>', 'run folder of a training')
    .option('--adapter <file>', 'what any method trained, a LoRA, or an official adapter.pth')
    .option('--base <folder>', 'base model: toybox or a folder (default: the one trained on)')
    .option('--prompt <text>', 'what the video shows (repeatable)', collect)
    .option('--negative-prompt <text>', 'what it should not show')
    .option('--seed <n>', 'seed of the first video (42)', number)
    .option('--count <n>', 'videos per prompt (1)', number)
    .option('--steps <n>', 'denoising steps (50)', number)
    .option(
      '--guidance <x>',
      'classifier-free guidance; 1: none (the base’s own: toybox 3; else 6, dreamvideo 9)',
      number,
    )
    .option('--guidance-schedule <name>', 'constant | dynamic')
    .option('--scheduler <name>', "ddim | dpm (the base's own)")
    .option('--reference <image>', 'photo of the subject (default: one kept with the run)')
    .option('--no-reference', 'without the reference photo')
    .option('--image-encoder <folder>', 'CLIP or open_clip folder, where the base has none')
    .option('--width <px>', 'width (as trained)', number)
    .option('--height <px>', 'height (as trained)', number)
    .option('--frames <n>', 'frames, 4k+1 (as trained)', number)
    .option('--fps <n>', 'frames per second of the file', number)
    .option('--out <folder>', 'where the videos go (default: outputs/ of the run)')
    .option('--device <name>', 'cpu | webgpu | cuda')
    .option('--threads <n>', 'compute threads', number)
    .action(async (flags: GenerateFlags) => {
      const { run, adapter, prompt, reference, ...fields } = flags;
      if (run !== undefined && adapter !== undefined) {
        throw new RequestError({
          where: 'options --run and --adapter',
          expected: 'one of them',
          got: 'both',
          hint: '--run takes the adapters of a run, --adapter those of a file',
        });
      }
      const request = parseRequest(generateRequestSchema, {
        ...fields,
        prompts: prompt ?? [],
        ...((run ?? adapter) !== undefined && { adapter: run ?? adapter }),
        ...(typeof reference === 'string' && { reference }),
        ...(reference === false && { noReference: true }),
      });
      const videos = await runPrinted((context) => generate(request, context));
      for (const { video } of videos) process.stdout.write(`${video}\n`);
    });
}
