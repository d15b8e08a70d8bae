import type { Command } from 'commander';
import { METRIC_NAMES } from '../../evaluation/index.ts';
import { evaluate } from '../../workflows/evaluate.ts';
import { evaluateRequestSchema } from '../../workflows/evaluate-request.ts';
import { renderEvaluation } from '../../workflows/evaluate-text.ts';
import { collect, number, parseRequest } from '../options.ts';
import { runPrinted } from '../run.ts';

interface EvaluateFlags {
  readonly json?: boolean;
  readonly referenceFps?: string;
  readonly metrics?: string;
  readonly clipImages?: string;
}

export function addEvaluateCommand(program: Command): void {
  program
    .command('evaluate')
    .description('measure videos: outputs, run folders, or any clips')
    .argument('<path...>', 'run folders, outputs of generate, clips or folders of them')
    .option('--subject <path>', "reference photos (repeatable; default: the run's)", collect)
    .option('--motion <path>', "reference clips (repeatable; default: the run's)", collect)
    .option('--prompt <text>', 'prompt of all videos (default: what each was made from)')
    .option('--fit <mode>', 'how reference clips are brought to size: stretch | crop | pad')
    .option('--reference-fps <n>', "rate that reference clips are read at ('native')")
    .option('--metrics <list>', `some of ${METRIC_NAMES.join(',')}`)
    .option('--clip <folder>', "CLIP with its text tower (default: the embedded base's)")
    .option('--clip-images <path>', 'another image encoder for CLIP-I, e.g. the fine-tuned ViT-H/14')
    .option('--dino <path>', 'DINO (default: the embedded one)')
    .option('--flow <path>', 'RAFT (default: classical flow)')
    .option('--interpolator <path>', 'AMT-S for motion smoothness (default: along the flow)')
    .option('--out <folder>', 'writes evaluation.json, .csv and .txt there')
    .option('--seed <n>', 'of the bootstrap (0)', number)
    .option('--resamples <n>', 'of the bootstrap (2000)', number)
    .option('--level <share>', 'of the intervals (0.95)', number)
    .option('--device <name>', 'cpu | webgpu | cuda')
    .option('--threads <n>', 'compute threads', number)
    .option('--json', 'the report as JSON')
    .action(async (videos: readonly string[], flags: EvaluateFlags) => {
      const { json, referenceFps, metrics, clipImages, ...fields } = flags;
      const request = parseRequest(evaluateRequestSchema, {
        ...fields,
        videos,
        ...(clipImages !== undefined && { clipI: clipImages }),
        ...(metrics !== undefined && { metrics: metrics.split(',') }),
        ...(referenceFps !== undefined && {
          referenceFps: referenceFps === 'native' ? 'native' : number(referenceFps),
        }),
      });
      const report = await runPrinted((context) => evaluate(request, context));
      process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : renderEvaluation(report));
      if (report.failed.length > 0) process.exitCode = 1;
    });
}
