import { join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { type BenchOutcome, bench, reportBench, resumeBench } from '../../benchmark/bench.ts';
import { type BenchReport, REPORT_FOLDER } from '../../benchmark/report.ts';
import { verdictLines } from '../../benchmark/report-customization.ts';
import { renderTableText } from '../../benchmark/report-text.ts';
import {
  BENCHMARK_NAMES,
  type BenchmarkName,
  benchControlSchema,
  benchRequestSchema,
} from '../../benchmark/request.ts';
import { BENCHMARK_CARDS } from '../../benchmark/variants.ts';
import { keyValue, number, parseRequest, RequestError } from '../options.ts';
import { runPrinted } from '../run.ts';

interface BenchFlags {
  readonly resume?: boolean | string;
  readonly out?: string;
  readonly minutes?: number;
  readonly keepRuns?: boolean;
  readonly sheets?: number;
  readonly threads?: number;
  readonly json?: boolean;
  readonly train?: TrainSettings;
  readonly steps?: number;
  readonly guidance?: number;
  readonly guidanceSchedule?: string;
  readonly scheduler?: string;
  readonly negativePrompt?: string;
  readonly clip?: string;
  readonly clipImages?: string;
  readonly dino?: string;
  readonly flow?: string;
  readonly interpolator?: string;
}

/** The paper's tables and figures. The speed of this repository is another thing: `npm run bench`. */
export function addBenchCommands(program: Command): void {
  const group = program
    .command('bench')
    .description("the paper's tables and figures on held-out cases or your own (docs/benchmark.md)");
  for (const name of BENCHMARK_NAMES) addBenchmark(group, name);
  group
    .command('report')
    .description('write the report of a benchmark anew from the results that are there')
    .argument('<folder>', "the benchmark's folder")
    .option('--sheets <n>', 'cases with pictures (12)', number)
    .option('--json', 'the report as JSON')
    .action(async (folder: string, { json, ...flags }: Pick<BenchFlags, 'sheets' | 'json'>) => {
      const control = parseRequest(benchControlSchema, flags);
      const report = await runPrinted((context) => reportBench(folder, control, context));
      print(report, folder, json);
    });
}

function addBenchmark(group: Command, name: BenchmarkName): void {
  const command = group
    .command(name)
    .description(BENCHMARK_CARDS[name].about)
    .option('--out <folder>', `folder to create (benchmarks/${name})`)
    .option('--resume [folder]', `go on with a benchmark (benchmarks/${name})`)
    .option('--minutes <n>', 'begin no case that would not be done in this time', number)
    .option('--cases <n>', "how many cases, evenly drawn (4; customization 6; a manifest's: all)", countOrAll)
    .option('--pairs <list>', 'these cases instead, by name (sushi-somersault,seal-hop)', list)
    .option('--prompts <n>', "prompts of each case (8; customization 20; a manifest's: all)", countOrAll)
    .option('--split <name>', 'evaluation | development (for tuning)')
    .option('--base <folder>', "base model (the manifest's, else toybox)")
    .option('--methods <list>', 'some of the rows', list)
    .option(
      '--train <key=value>',
      'training setting of all rows, or row:key=value (repeatable)',
      trainSetting,
    )
    .option('--steps <n>', 'denoising steps of a video', number)
    .option('--guidance <n>', 'guidance of a video', number)
    .option('--guidance-schedule <name>', 'constant | dynamic')
    .option('--scheduler <name>', "ddim | dpm (the base's own)")
    .option('--negative-prompt <text>', 'negative prompt of all videos')
    .option('--width <n>', "pixels (the base's own)", number)
    .option('--height <n>', "pixels (the base's own)", number)
    .option('--frames <n>', "frames of a video (the base's own)", number)
    .option('--seed <n>', 'of draw, universe, training and videos (42)', number)
    .option('--clip <folder>', "CLIP with its text tower (default: the embedded base's)")
    .option('--clip-images <path>', 'another image encoder for CLIP-I')
    .option('--dino <path>', 'DINO (default: the embedded one)')
    .option('--flow <path>', 'RAFT (default: classical flow)')
    .option('--interpolator <path>', 'AMT-S for motion smoothness (default: along the flow)')
    .option('--resamples <n>', 'of the bootstrap (2000)', number)
    .option('--level <share>', 'of the intervals (0.95)', number)
    .option('--art-cache <folder>', "folder with the universe's art (.cache)")
    .option('--keep-runs', 'keep checkpoints and adapters')
    .option('--sheets <n>', 'cases with pictures in the report (12)', number)
    .option('--device <name>', 'cpu | webgpu | cuda')
    .option('--threads <n>', 'compute threads', number)
    .option('--json', 'the report as JSON');
  if (name === 'fig2') {
    command
      .option('--identity-steps <list>', 'lengths of the identity stage (300)', numbers)
      .option('--motion-steps <list>', 'lengths of the motion stage (0,50,100,200,400)', numbers);
  }
  if (name === 'customization') {
    command
      .option('--lessons <n>', 'rendered clips of each motion that the classifier learns from (400)', number)
      .option('--exams <n>', 'rendered clips of each held-out motion that it is examined on (60)', number);
  } else {
    command.option('--manifest <file>', 'cases of your own (default: the Toybox universe)');
  }
  command.action((flags: BenchFlags) => runBenchmark(name, flags));
}

async function runBenchmark(name: BenchmarkName, flags: BenchFlags): Promise<void> {
  const { resume, minutes, keepRuns, sheets, threads, json, ...asked } = flags;
  const control = parseRequest(benchControlSchema, given({ minutes, keepRuns, sheets, threads }));
  const folder = typeof resume === 'string' ? resume : (asked.out ?? join('benchmarks', name));
  const start = (): Parameters<typeof runPrinted<BenchOutcome>>[0] => {
    if (resume !== undefined) {
      const { out: _, ...more } = asked;
      requireNothingElse(more);
      return (context) => resumeBench(folder, name, control, context);
    }
    const request = parseRequest(benchRequestSchema, { benchmark: name, ...fieldsOf(asked), out: folder });
    return (context) => bench(request, control, context);
  };
  const outcome = await runPrinted(start());
  print(outcome, folder, json);
  if (outcome.failed.length > 0) process.exitCode = 1;
}

/** The request's fields; options that belong together are put together. */
function fieldsOf(flags: BenchFlags): Record<string, unknown> {
  const { train, steps, guidance, guidanceSchedule, scheduler, negativePrompt, ...rest } = flags;
  const { clip, clipImages, dino, flow, interpolator, ...fields } = rest;
  return {
    ...fields,
    ...train,
    sampling: given({ steps, guidance, guidanceSchedule, scheduler, negativePrompt }),
    encoders: given({ clip, clipI: clipImages, dino, flow, interpolator }),
  };
}

function given(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

interface TrainSettings {
  readonly train: Readonly<Record<string, unknown>>;
  readonly trainOf: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** `steps=300` for all rows, `lora:steps=600` for one, `options.groups=2` for a field inside another. */
function trainSetting(
  text: string,
  { train, trainOf }: TrainSettings = { train: {}, trainOf: {} },
): TrainSettings {
  const [, row, setting] = /^(?:([a-z0-9-]+):)?(.*)$/s.exec(text)!;
  const [[key, value]] = Object.entries(keyValue(setting));
  const [outer, inner] = key.split(/\.(.*)/s);
  const withSetting = (fields: Readonly<Record<string, unknown>>) => {
    const before = fields[outer];
    return {
      ...fields,
      [outer]: inner === undefined ? value : { ...(isObject(before) && before), [inner]: value },
    };
  };
  return row === undefined
    ? { train: withSetting(train), trainOf }
    : { train, trainOf: { ...trainOf, [row]: withSetting(trainOf[row] ?? {}) } };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What decides the numbers is in the plan and cannot be asked anew. */
function requireNothingElse(flags: object): void {
  const names = Object.keys(flags);
  if (names.length === 0) return;
  throw new RequestError({
    where: 'option --resume',
    expected: 'no other options than --minutes, --threads, --keep-runs, --sheets and --json',
    got: names.join(', '),
    hint: 'a benchmark goes on as it was begun; for other settings begin another with --out',
  });
}

function countOrAll(text: string): number | 'all' {
  return text === 'all' ? 'all' : number(text);
}

function list(text: string): string[] {
  return text.split(',').map((name) => name.trim());
}

function numbers(text: string): number[] {
  const parts = list(text);
  if (parts.some((part) => part === '')) throw new InvalidArgumentError('It is not a list of numbers.');
  return parts.map(number);
}

function verdict({ customization }: BenchReport): string {
  return customization ? `\n${verdictLines(customization, customization).join('\n')}\n` : '';
}

function print(report: BenchReport, folder: string, json: boolean | undefined): void {
  process.stdout.write(
    json
      ? `${JSON.stringify(report, null, 2)}\n`
      : `${renderTableText(report.table, report.published)}${verdict(report)}\n${join(folder, REPORT_FOLDER, 'index.html')}\n`,
  );
}
