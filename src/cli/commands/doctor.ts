import type { Command } from 'commander';
import { doctor } from '../../workflows/doctor.ts';
import { doctorRequestSchema } from '../../workflows/doctor-request.ts';
import { assignRoles } from '../../workflows/doctor-roles.ts';
import { doctorShape } from '../../workflows/doctor-shape.ts';
import { renderDoctorReport } from '../../workflows/doctor-text.ts';
import { collect, frameRate, number, parseRequest } from '../options.ts';
import { runPrinted } from '../run.ts';

interface DoctorFlags {
  readonly json?: boolean;
  readonly base?: string;
  readonly subject?: readonly string[];
  readonly motion?: readonly string[];
}

export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description(
      'judge photos and clips before training; paths without an option are told apart by their kind',
    )
    .argument('[path...]', 'photos, clips or folders of them')
    .option('--subject <path>', 'photos of the subject (repeatable)', collect)
    .option('--motion <path>', 'clips of the motion (repeatable)', collect)
    .option('--subject-prompt <text>', 'caption of all photos')
    .option('--motion-prompt <text>', 'caption of all clips')
    .option('--base <folder>', 'base that the data is for: toybox or a folder (toybox)')
    .option('--width <px>', "width (the base's own)", number)
    .option('--height <px>', "height (the base's own)", number)
    .option('--frames <n>', "frames per clip (the base's own)", number)
    .option('--fps <n>', "rate that clips are read at ('native')", frameRate)
    .option('--fit <mode>', 'stretch | crop | pad')
    .option('--json', 'the report as JSON')
    .action(async (paths: readonly string[], flags: DoctorFlags) => {
      const { json, base, ...fields } = flags;
      const roles = await assignRoles(paths);
      const request = parseRequest(doctorRequestSchema, {
        ...(await doctorShape(base)),
        ...fields,
        subject: [...(fields.subject ?? []), ...roles.subject],
        motion: [...(fields.motion ?? []), ...roles.motion],
      });
      const report = await runPrinted((context) => doctor(request, context));
      const colour = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
      process.stdout.write(
        json ? `${JSON.stringify(report, null, 2)}\n` : renderDoctorReport(report, { colour }),
      );
      if (report.verdict === 'error') process.exitCode = 1;
    });
}
