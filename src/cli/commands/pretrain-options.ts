import type { Command } from 'commander';
import { number } from '../options.ts';

/** Options of every command that works on the parts of the embedded base. */
export const onBase = (command: Command): Command =>
  command
    .option('--weights-folder <path>', 'folder of the base (weights/toybox)')
    .option('--cache-folder <path>', 'folder of the decoded art (.cache)')
    .option('--art-folder <path>', 'folder of the art packages')
    .option('--device <name>', 'cpu, webgpu or cuda (cpu)')
    .option('--threads <n>', 'compute threads', number);

/** And of those that name a run. */
export const ofRun = (command: Command, variants: string): Command =>
  onBase(command)
    .option('--variant <name>', variants)
    .option('--name <name>', 'name of the run (the model, and the variant)')
    .option('--state-folder <path>', 'where runs lie (training-state)');

/** And of those that train. */
export const training = (command: Command, variants: string): Command =>
  ofRun(command, variants)
    .option('--resume', 'go on with the run of this name')
    .option('--minutes <n>', 'stop, saved, after this long', number)
    .option('--steps <n>', 'length of the schedule', number)
    .option('--seed <n>', 'seed (1)', number)
    .option('--checkpoint-minutes <n>', 'how often to save (3)', number)
    .option('--review-minutes <n>', 'how often to judge and draw (5)', number);
