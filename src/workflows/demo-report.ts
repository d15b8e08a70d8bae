import { cpus } from 'node:os';
import { join } from 'node:path';
import { readAdapterFile } from '../store/adapter-file.ts';
import { listDataset } from '../store/dataset.ts';
import { readRun } from '../store/run-folder.ts';
import { writeFileAtomic } from '../tensor/atomic-file.ts';
import { openBase } from './base.ts';
import { EMBEDDED_BASE } from './base-location.ts';
import type { GeneratedVideo } from './generate.ts';
import type { GenerateRequest } from './generate-request.ts';
import { packageVersions } from './package-versions.ts';
import { copyMedia, copyMedium, readControllerWeights, readLosses } from './report/collect-run.ts';
import { type ReportedTime, type ReportedVideo, renderRunReport, shownTime } from './report/run-report.ts';
import { shellWord } from './workflow.ts';

/** A finished demo. */
export interface DemoParts {
  readonly run: string;
  readonly base: string;
  /** That of the customized videos. */
  readonly request: GenerateRequest;
  readonly videos: readonly GeneratedVideo[];
  /** What the base alone made of the same prompts, in the same order. */
  readonly plain: readonly GeneratedVideo[];
  readonly times: readonly ReportedTime[];
}

/** Writes `<run>/report/` with copies of everything it shows, so that the folder can be moved; returns its page. */
export async function writeDemoReport(parts: DemoParts): Promise<string> {
  const { base, request, videos, times } = parts;
  const run = await readRun(parts.run);
  const folder = join(run.path, 'report');
  const { name, notice } = await openBase(base);
  const { recipe } = await readAdapterFile(run.adapterFile);
  const { training, options, base: trainedBase, preset, size } = recipe!;
  const subject = await listDataset(String((run.request.subject as readonly string[])[0]));
  const motion = await listDataset(String((run.request.motion as readonly string[])[0]));
  const shown = (files: typeof subject.files) =>
    files.map(({ path, caption }) => ({ path, caption: caption?.text }));
  const versions = packageVersions();
  const machine = `${cpus()[0]?.model.trim() ?? 'unknown'}, ${cpus().length} threads; ${versions.platform}, Node ${versions.node}`;
  const page = renderRunReport({
    title: 'One subject, one motion, new scenes',
    lead: `In ${training!.steps} steps dualreal learnt the subject of ${subject.files.length} photos and the motion of ${motion.files.length} clips at once. Then it was asked for both together, in scenes that no photo and no clip shows. Training and videos took ${shownTime(times.reduce((sum, { seconds }) => sum + seconds, 0))}.`,
    ...(notice !== undefined && { notice: capitalized(`${notice}.`) }),
    photos: await copyMedia(shown(subject.files), folder, 'photos'),
    clips: await copyMedia(shown(motion.files), folder, 'clips'),
    videos: await reportedVideos(parts, folder),
    losses: await readLosses(run.eventsFile),
    controller: {
      blocks: trainedBase.blocks,
      weightTotal: options.weightTotal,
      steps: await readControllerWeights(videos.map((video) => video.folder)),
    },
    times,
    settings: [
      ['base', `${name}, ${trainedBase.blocks} blocks of width ${trainedBase.width}`],
      ['preset', `${preset}, ${options.groups} groups, bottleneck ${options.bottleneck}`],
      [
        'training',
        Object.entries(training!)
          .map(([key, value]) => `${words(key)} ${String(value)}`)
          .join(', '),
      ],
      [
        'videos',
        `${size!.width}×${size!.height}, ${size!.frames} frames at ${size!.fps} a second; ${request.steps} denoising steps, guidance ${request.guidance}, seed ${request.seed}`,
      ],
      ['machine', machine],
    ],
    requests: { Training: run.request, Videos: request },
    commands: commandsFor(parts.run, base),
    madeBy: `dualreal ${versions.dualreal}, onnxruntime ${versions['onnxruntime-node']}; trained ${run.createdAt.slice(0, 16).replace('T', ' ')} UTC`,
  });
  const path = join(folder, 'index.html');
  await writeFileAtomic(path, page);
  return path;
}

function reportedVideos({ videos, plain }: DemoParts, folder: string): Promise<ReportedVideo[]> {
  return Promise.all(
    videos.map(async ({ prompt, video }, i) => ({
      prompt,
      customized: await copyMedium(video, folder, `videos/${i + 1}`, `${prompt}, customized`),
      plain: await copyMedium(
        plain[i].video,
        folder,
        `videos/${i + 1}-plain`,
        `${prompt}, by the base alone`,
      ),
    })),
  );
}

function commandsFor(run: string, base: string): [string, string][] {
  const folder = shellWord(run);
  const option = base === EMBEDDED_BASE ? '' : ` --base ${shellWord(base)}`;
  return [
    [
      'Another scene',
      `npx dualreal generate --run ${folder} --prompt "an animal is hopping sideways in the desert"`,
    ],
    ['Measure these videos against the photos and clips', `npx dualreal evaluate ${folder}`],
    [
      'Your own photos and clips',
      `npx dualreal doctor photos/ clips/${option}
npx dualreal train${option} --subject photos/ --subject-prompt "a photo of a dog" \\
                   --motion clips/ --motion-prompt "a person is waving" --out runs/mine
npx dualreal generate --run runs/mine --prompt "a dog is waving in the forest"`,
    ],
    ['The adapters for the official release', `npx dualreal export ${folder} --out adapter.pth`],
  ];
}

/** `learningRate` → "learning rate". */
function words(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function capitalized(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
