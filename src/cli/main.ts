import { Command } from 'commander';
import { CancelledError, DualrealError } from '../tensor/errors.ts';
import { packageVersions } from '../workflows/package-versions.ts';
import { addBaseCommand } from './commands/base.ts';
import { addDemoCommand } from './commands/demo.ts';
import { addDoctorCommand } from './commands/doctor.ts';
import { addExchangeCommands } from './commands/exchange.ts';
import { addGenerateCommand } from './commands/generate.ts';
import { addToyboxCommands } from './commands/toybox.ts';
import { addTrainCommand } from './commands/train.ts';

const EXIT_CANCELLED = 130;

export function createProgram(): Command {
  const program = new Command('dualreal')
    .description(
      'Teach a text-to-video model a subject (photos) and a motion (clips) at once; generate both together.',
    )
    .version(packageVersions().dualreal)
    .option('--verbose', 'show the whole error, with its stack')
    .showHelpAfterError();
  addDoctorCommand(program);
  addTrainCommand(program);
  addGenerateCommand(program);
  addExchangeCommands(program);
  addBaseCommand(program);
  addToyboxCommands(program);
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
      const known = error instanceof DualrealError && !program.opts<{ verbose?: boolean }>().verbose;
      process.stderr.write(
        `\nerror: ${known ? error.message : error instanceof Error ? error.stack : error}\n`,
      );
      process.exitCode = 1;
    }
  }
}

await main();
