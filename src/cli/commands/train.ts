import { basename, resolve } from 'node:path';
import type { Command } from 'commander';
import { METHOD_NAMES } from '../../methods/index.ts';
import { resumeTraining, train } from '../../workflows/train.ts';
import { type TrainRequest, trainControlSchema, trainRequestSchema } from '../../workflows/train-request.ts';
import { shellWord } from '../../workflows/workflow.ts';
import { collect, flagOf, frameRate, keyValue, number, parseRequest, RequestError } from '../options.ts';
import { runPrinted } from '../run.ts';

/** What a stage is called, and what a method needs, is not in the options' own lines. */
const METHODS_HELP = `
Methods and their stages (docs/methods.md; what is left out is as published):
  dualreal     joint                    photos and clips
  lora         identity, motion         photos, clips; options rank, alpha, targets
  full         identity, motion         photos, clips
  dreamvideo   token, identity, motion  photos, clips, --subject-word
  motionbooth  subject                  photos, --generic, --subject-word; option tune=lora
Subject masks (dreamvideo, motionbooth): NAME.mask.png beside NAME.png, or its transparency.`;

interface TrainFlags {
  readonly resume?: string;
  readonly stopAfter?: number;
  readonly out?: string;
  readonly subject?: readonly string[];
  readonly motion?: readonly string[];
  readonly generic?: readonly string[];
  readonly option?: Readonly<Record<string, unknown>>;
  readonly stageLearningRate?: Readonly<Record<string, unknown>>;
  readonly groupRate?: Readonly<Record<string, unknown>>;
  readonly samplePrompt?: readonly string[];
}

export function addTrainCommand(program: Command): void {
  program
    .command('train')
    .description('teach a base model a subject (photos) and a motion (clips), by DualReal or a baseline')
    .option('--method <name>', `${METHOD_NAMES.join(' | ')} (${METHOD_NAMES[0]})`)
    .option('--subject <path>', 'photos: a file or a folder (repeatable)', collect)
    .option('--motion <path>', 'clips: a file or a folder (repeatable)', collect)
    .option('--generic <path>', 'motionbooth: captioned clips of anything (repeatable)', collect)
    .option(
      '--base <folder>',
      'base model: toybox, which comes with dualreal, or a folder in the diffusers layout (toybox)',
    )
    .option('--out <folder>', 'run folder to create (default: runs/<subject>-<motion>)')
    .option('--resume <run>', 'go on with an interrupted run; its own request is used')
    .option('--preset <name>', 'dualreal: official | paper | clean')
    .option('--ablation <name>', 'dualreal with something taken away, e.g. without-controller, groups-1')
    .option('--option <key=value>', 'one option of the method, e.g. groups=2, rank=16 (repeatable)', keyValue)
    .option('--subject-prompt <text>', 'caption of all photos')
    .option('--motion-prompt <text>', 'caption of all clips')
    .option('--generic-prompt <text>', 'caption of all generic clips')
    .option('--subject-word <text>', 'dreamvideo, motionbooth: what captions call the subject, e.g. dog')
    .option('--class-word <text>', 'dreamvideo: what its learnt word starts from (the subject word)')
    .option('--steps <n>', 'optimizer steps of all stages together (dualreal: 1000)', number)
    .option('--stage-steps <stage=n>', 'steps of one stage, e.g. motion=500 (repeatable)', keyValue)
    .option('--seed <n>', 'seed of everything random (42)', number)
    .option('--learning-rate <x>', 'peak learning rate (dualreal: 0.001)', number)
    .option('--stage-learning-rate <stage=x>', 'that of one stage (repeatable)', keyValue)
    .option('--group-rate <group=x>', 'times that, for one group, e.g. controller=0.1 (repeatable)', keyValue)
    .option('--warmup-steps <n>', 'linear warm-up (dualreal: 200, or a fifth of shorter runs)', number)
    .option('--schedule <name>', 'learning-rate schedule (dualreal: cosine_with_restarts)')
    .option('--max-gradient-norm <x>', 'clip the gradient to this norm (dualreal: 1)', number)
    .option('--weight-decay <x>', 'AdamW weight decay (dualreal: 0.0001)', number)
    .option('--subject-batch <n>', 'photos per step (dualreal: 1)', number)
    .option('--motion-batch <n>', 'clips per step (dualreal: 3)', number)
    .option('--generic-batch <n>', 'generic clips per step (1)', number)
    .option('--motion-ratio <p>', 'probability of a motion step (0.5)', number)
    .option(
      '--timestep-bias <data=b>',
      'draw timesteps with density t^b for identity, motion or generic steps, e.g. motion=1.5 (repeatable)',
      keyValue,
    )
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
    .addHelpText('after', METHODS_HELP)
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
  const { option, samplePrompt, stageLearningRate, groupRate, ...fields } = flags;
  return parseRequest(trainRequestSchema, {
    out: defaultRunFolder(flags),
    ...fields,
    ...(option && { options: option }),
    ...(stageLearningRate && { stageLearningRates: stageLearningRate }),
    ...(groupRate && { groupRates: groupRate }),
    ...(samplePrompt && { samplePrompts: samplePrompt }),
  });
}

function defaultRunFolder({ subject, motion, generic }: TrainFlags): string {
  const name = (paths: readonly string[] | undefined) =>
    basename(resolve(paths?.[0] ?? 'run')).replace(/\.[^.]*$/, '');
  return `runs/${name(subject)}-${name(motion ?? generic)}`;
}
