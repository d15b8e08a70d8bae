import { Command } from 'commander';
import { CancelledError } from '../tensor/errors.ts';
import { packageVersions } from '../workflows/package-versions.ts';
import { addBaseCommand } from './commands/base.ts';
import { addBenchCommands } from './commands/bench.ts';
import { addDemoCommand } from './commands/demo.ts';
import { addDoctorCommand } from './commands/doctor.ts';
import { addEvaluateCommand } from './commands/evaluate.ts';
import { addExchangeCommands } from './commands/exchange.ts';
import { addGenerateCommand } from './commands/generate.ts';
import { addPretrainCommands } from './commands/pretrain.ts';
import { addPretrainTransformerCommands } from './commands/pretrain-transformer.ts';
import { addToyboxCommands } from './commands/toybox.ts';
import { addTrainCommand } from './commands/train.ts';
import { describeError } from './describe-error.ts';

const EXIT_CANCELLED = 130;

export function createProgram(): Command {
  const program = new Command('dualreal')
    .description(
      'Teach a text-to-video model a subject (photos) and a motion (clips) at once; generate both together.',
    )
    .version(packageVersions().dualreal)
    .option('--verbose', 'show the whole error, with its stack')
    .showHelpAfterError('(see --help)');
  addDoctorCommand(program);
  addTrainCommand(program);
  addGenerateCommand(program);
  addEvaluateCommand(program);
  addBenchCommands(program);
  addExchangeCommands(program);
  addBaseCommand(program);
  addToyboxCommands(program);
  addPretrainCommands(program);
  addPretrainTransformerCommands(program);
  addDemoCommand(program);
  return program;
}

/** Runs the command line; the exit code says how it ended. */
async function main(): Promise<void> {
  const program = createProgram();
  try {
    await program.parseAsync(process.argv);
  } catch (error) {
    if (error instanceof CancelledError) process.exitCode = EXIT_CANCELLED;
    else {
      const { verbose = false } = program.opts<{ verbose?: boolean }>();
      process.stderr.write(`\nerror: ${describeError(error, verbose)}\n`);
      process.exitCode = 1;
    }
  }
}

await main();
