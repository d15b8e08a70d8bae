import { basename, resolve } from 'node:path';
import type { Command } from 'commander';
import { resumeTraining, train } from '../../workflows/train.ts';
import { type TrainRequest, trainControlSchema, trainRequestSchema } from '../../workflows/train-request.ts';
import { shellWord } from '../../workflows/workflow.ts';
import { collect, flagOf, frameRate, keyValue, number, parseRequest, RequestError } from '../options.ts';
import { runPrinted } from '../run.ts';

interface TrainFlags {
  readonly resume?: string;
  readonly stopAfter?: number;
  readonly out?: string;
  readonly subject?: readonly string[];
  readonly motion?: readonly string[];
  readonly option?: Readonly<Record<string, unknown>>;
  readonly samplePrompt?: readonly string[];
}

export function addTrainCommand(program: Command): void {
  program
    .command('train')
    .description('train a pair of adapters on photos of a subject and clips of a motion')
    .option('--subject <path>', 'photos: a file or a folder (repeatable)', collect)
    .option('--motion <path>', 'clips: a file or a folder (repeatable)', collect)
    .option(
      '--base <folder>',
      'base model: toybox, which comes with dualreal, or a folder in the diffusers layout (toybox)',
    )
    .option('--out <folder>', 'run folder to create (default: runs/<subject>-<motion>)')
    .option('--resume <run>', 'go on with an interrupted run; its own request is used')
    .option('--preset <name>', 'official | paper | clean')
    .option('--option <key=value>', 'one difference from the preset, e.g. groups=2 (repeatable)', keyValue)
    .option('--subject-prompt <text>', 'caption of all photos')
    .option('--motion-prompt <text>', 'caption of all clips')
    .option('--steps <n>', 'optimizer steps (1000)', number)
    .option('--seed <n>', 'seed of everything random (42)', number)
    .option('--learning-rate <x>', 'peak learning rate (0.001)', number)
    .option('--warmup-steps <n>', 'linear warm-up (200, or a fifth of shorter runs)', number)
    .option('--schedule <name>', 'learning-rate schedule (cosine_with_restarts)')
    .option('--max-gradient-norm <x>', 'clip the gradient to this norm (1)', number)
    .option('--weight-decay <x>', 'AdamW weight decay (0.0001)', number)
    .option('--subject-batch <n>', 'photos per identity step (1)', number)
    .option('--motion-batch <n>', 'clips per motion step (3)', number)
    .option('--motion-ratio <p>', 'probability of a motion step (0.5)', number)
    .option('--width <px>', "width (the base's own)", number)
    .option('--height <px>', "height (the base's own)", number)
    .option('--frames <n>', "frames per clip, 4k+1 (the base's own)", number)
    .option('--fps <n>', "read clips at this rate ('native': the first frames as they are)", frameRate)
    .option('--fit <mode>', 'stretch | crop | pad')
    .option('--image-encoder <folder>', 'CLIP or open_clip folder, where the base has none')
    .option('--checkpoint-every <n>', 'steps between checkpoints (100)', number)
    .option('--keep-checkpoints <n>', 'checkpoints kept (2)', number)
    .option('--sample-every <n>', 'generate samples every n steps (0: never)', number)
    .option('--sample-prompt <text>', 'prompt of a sample (repeatable)', collect)
    .option('--sample-steps <n>', 'denoising steps of a sample (20)', number)
    .option('--skip-bad-files', 'go on without files that cannot be used')
    .option('--recompute', 'less memory for about a third more time')
    .option('--device <name>', 'cpu | webgpu | cuda')
    .option('--threads <n>', 'compute threads', number)
    .option('--stop-after <n>', 'stop with a checkpoint after this many steps in all', number)
    .action(async (flags: TrainFlags) => {
      const { resume, stopAfter, ...fields } = flags;
      const control = parseRequest(trainControlSchema, { stopAfter });
      if (resume !== undefined) requireAlone(fields);
      const request = resume === undefined ? trainRequest(fields) : undefined;
      const result = await runPrinted((context) =>
        request ? train(request, context, control) : resumeTraining(resume!, context, control),
      );
      process.stdout.write(`${result.run}\n`);
      process.stderr.write(`try it: dualreal generate --run ${shellWord(result.run)} --prompt "…"\n`);
    });
}

function requireAlone(others: object): void {
  const names = Object.keys(others).map((name) => `--${flagOf(name)}`);
  if (names.length === 0) return;
  throw new RequestError({
    where: 'option --resume',
    expected: 'no other option but --stop-after',
    got: names.join(', '),
    hint: 'a resumed run uses the request it was started with',
  });
}

function trainRequest(flags: TrainFlags): TrainRequest {
  const { option, samplePrompt, ...fields } = flags;
  return parseRequest(trainRequestSchema, {
    out: defaultRunFolder(flags),
    ...fields,
    ...(option && { options: option }),
    ...(samplePrompt && { samplePrompts: samplePrompt }),
  });
}

function defaultRunFolder({ subject, motion }: TrainFlags): string {
  const name = (paths: readonly string[] | undefined) =>
    basename(resolve(paths?.[0] ?? 'run')).replace(/\.[^.]*$/, '');
  return `runs/${name(subject)}-${name(motion)}`;
}
