import { basename, extname } from 'node:path';
import { stretchOf } from '../media/index.ts';
import type { Examination } from './doctor-examine.ts';
import { looksAlike } from './doctor-measure.ts';
import type { FileReport, Finding, FindingLevel, Role } from './doctor-report.ts';
import type { DoctorRequest } from './doctor-request.ts';

/** Where the judgements draw their lines. */
const LIMITS = {
  /** Stretch (as a fraction) that goes without a word, and above which it shows. */
  stretch: 0.02,
  /** Part of the picture that cropping may cut away. */
  cutAway: 0.25,
  /** Enlargement above which detail is missing. */
  enlarged: 1.5,
  darkBelow: 25,
  flatBelow: 6,
  blurredBelow: 0.003,
  /** Movement (grey levels of a 16×16 thumbnail) below which nothing seems to move. */
  stillBelow: 0.75,
  /** Change of speed, in percent, that goes without a word. */
  speedPercent: 10,
  photosLeast: 3,
  photosMost: 10,
  clipsLeast: 3,
} as const;

const finding = (level: FindingLevel, code: string, message: string): Finding => ({ level, code, message });
const percent = (fraction: number): string => `${Number((fraction * 100).toFixed(1))} %`;

/** Findings about one file by itself. */
export function judgeFile(role: Role, examination: Examination, request: DoctorRequest): Finding[] {
  return [
    ...(role === 'subject' ? judgePhoto(examination) : judgeClip(examination, request)),
    ...judgeShape(examination, request),
    ...judgeLook(role, examination),
    ...judgeDamage(examination),
    ...examination.facts.notes.map((note) => finding('note', 'converted', note)),
  ];
}

function judgePhoto({ facts }: Examination): Finding[] {
  if (facts.kind === 'photo') return [];
  return [
    finding(
      'warning',
      'clip-as-photo',
      `is a clip of ${facts.frameCount} frames; only its first frame serves as a photo`,
    ),
  ];
}

function judgeClip(examination: Examination, request: DoctorRequest): Finding[] {
  const { facts, usedFrames, reachableFrames, usedDurationS } = examination;
  if (facts.kind === 'photo') {
    return [finding('error', 'photo-as-clip', 'is a single picture; motion is learnt from clips')];
  }
  const findings: Finding[] = [];
  if (usedFrames < 2) {
    const least = request.temporalRatio + 1;
    findings.push(
      finding('error', 'too-short', `has ${reachableFrames} frames; at least ${least} are needed`),
    );
    return findings;
  }
  const dropped = reachableFrames - usedFrames;
  if (dropped > 0) {
    const rule = `the model takes ${request.temporalRatio}k + 1 frames`;
    findings.push(
      finding(
        'note',
        'frames-dropped',
        `the last ${dropped} of ${reachableFrames} frames are dropped (${rule})`,
      ),
    );
  }
  const covered = `${usedDurationS.toFixed(2)} s of ${facts.durationS.toFixed(2)} s`;
  findings.push(finding('note', 'frames-used', `${usedFrames} frames are used, ${covered}`));
  if (facts.variableFrameRate) {
    const advice = request.fps === 'native' ? '; a frame rate (--fps) makes the motion even' : '';
    findings.push(
      finding('warning', 'variable-frame-rate', `its frames are unevenly spaced in time${advice}`),
    );
  }
  findings.push(...judgeSpeed(facts.fps, request));
  if (examination.movement < LIMITS.stillBelow) {
    findings.push(finding('warning', 'still', 'hardly anything moves in the frames used'));
  }
  if (examination.cutAtFrame !== undefined) {
    findings.push(
      finding(
        'warning',
        'cut',
        `the picture changes abruptly at frame ${examination.cutAtFrame}: a cut? Keep one shot per clip`,
      ),
    );
  }
  return findings;
}

/** How fast the motion will look in generated videos. */
function judgeSpeed(fps: number, request: DoctorRequest): Finding[] {
  const used = request.fps === 'native' ? fps : request.fps;
  const slower = used / request.playbackFps;
  const times = (Math.max(slower, 1 / slower) - 1) * 100;
  const findings: Finding[] = [];
  if (times > LIMITS.speedPercent) {
    const change = `${Math.max(slower, 1 / slower).toFixed(1)} times ${slower > 1 ? 'slower' : 'faster'}`;
    const message = `frames at ${used} fps play at ${request.playbackFps} fps in generated videos: the motion looks ${change}; --fps ${request.playbackFps} keeps its speed`;
    findings.push(finding('note', 'speed', message));
  }
  if (request.fps !== 'native' && request.fps > fps * (1 + LIMITS.speedPercent / 100)) {
    findings.push(
      finding('warning', 'repeated-frames', `has only ${fps} fps; at ${request.fps} fps frames repeat`),
    );
  }
  return findings;
}

function judgeShape({ facts }: Examination, request: DoctorRequest): Finding[] {
  const target = { width: request.width, height: request.height };
  const findings: Finding[] = [];
  const stretch = stretchOf(facts, target);
  const size = `${facts.width}×${facts.height} to ${target.width}×${target.height}`;
  if (stretch > LIMITS.stretch && request.fit === 'stretch') {
    const along = target.width * facts.height > facts.width * target.height ? 'wider' : 'taller';
    findings.push(
      finding(
        'warning',
        'stretched',
        `becomes ${percent(stretch)} ${along} (${size}); --fit crop keeps its proportions`,
      ),
    );
  }
  const lost = stretch / (1 + stretch);
  if (stretch > LIMITS.stretch && request.fit === 'crop') {
    const level = lost > LIMITS.cutAway ? 'warning' : 'note';
    findings.push(finding(level, 'cropped', `cropping cuts away ${percent(lost)} of the picture (${size})`));
  }
  if (stretch > LIMITS.stretch && request.fit === 'pad') {
    findings.push(
      finding(
        'warning',
        'padded',
        `black bars cover ${percent(lost)} of the frame (${size}); the model learns them`,
      ),
    );
  }
  const scales = [target.width / facts.width, target.height / facts.height];
  const enlarged = request.fit === 'pad' ? Math.min(...scales) : Math.max(...scales);
  if (enlarged > LIMITS.enlarged) {
    findings.push(
      finding(
        'warning',
        'small',
        `is enlarged ${enlarged.toFixed(1)} times (${size}); fine detail is missing`,
      ),
    );
  }
  return findings;
}

function judgeLook(role: Role, { looks, facts }: Examination): Finding[] {
  const findings: Finding[] = [];
  const every = (test: (look: (typeof looks)[number]) => boolean) => looks.length > 0 && looks.every(test);
  const what = facts.kind === 'photo' ? 'the picture' : 'the clip';
  if (every((look) => look.contrast < LIMITS.flatBelow)) {
    findings.push(finding('warning', 'flat', `${what} is nearly one colour`));
  } else if (every((look) => look.brightness < LIMITS.darkBelow)) {
    findings.push(finding('warning', 'dark', `${what} is very dark`));
  } else if (every((look) => look.sharpness < LIMITS.blurredBelow)) {
    const advice = role === 'subject' ? '; the subject’s details cannot be learnt from it' : '';
    findings.push(finding('warning', 'blurred', `${what} looks blurred${advice}`));
  }
  return findings;
}

function judgeDamage({ facts, usedComplaints }: Examination): Finding[] {
  if (usedComplaints.length > 0) {
    const said = usedComplaints.slice(0, 2).join(' | ');
    return [
      finding(
        'error',
        'damaged',
        `is damaged in or right after the frames used (${said}); replace or re-encode it`,
      ),
    ];
  }
  if (facts.complaints.length > 0) {
    const said = facts.complaints.slice(0, 2).join(' | ');
    return [finding('warning', 'damaged-later', `is damaged behind the frames used (${said})`)];
  }
  return [];
}

/** Findings that name another file of the same role which shows the same. Keyed by path. */
export function judgeDuplicates(examined: ReadonlyMap<string, Examination>): Map<string, Finding> {
  const found = new Map<string, Finding>();
  const seen: [string, Examination][] = [];
  for (const [path, examination] of examined) {
    const exact = seen.find(([, other]) => other.digest === examination.digest);
    const near = seen.find(([, other]) => looksTheSame(other, examination));
    if (exact) found.set(path, finding('warning', 'duplicate', `is the same file as ${basename(exact[0])}`));
    else if (near)
      found.set(path, finding('warning', 'near-duplicate', `shows nearly the same as ${basename(near[0])}`));
    seen.push([path, examination]);
  }
  return found;
}

function looksTheSame(a: Examination, b: Examination): boolean {
  return (
    a.looks.length === b.looks.length && a.looks.every((look, index) => looksAlike(look, b.looks[index]))
  );
}

/** Findings about all photos, or all clips, together. */
export function judgeRole(role: Role, files: readonly FileReport[], request: DoctorRequest): Finding[] {
  const usable = files.filter(({ verdict }) => verdict !== 'error');
  const findings: Finding[] = [];
  if (usable.length === 0) {
    findings.push(
      finding('error', 'none-usable', role === 'subject' ? 'no photo can be used' : 'no clip can be used'),
    );
    return findings;
  }
  const most = LIMITS.photosMost;
  if (role === 'subject' && (usable.length < LIMITS.photosLeast || usable.length > most)) {
    const reason =
      usable.length > most
        ? 'more cost time and rarely help'
        : 'fewer teach the pose and place along with the subject';
    findings.push(
      finding(
        'warning',
        'photo-count',
        `${LIMITS.photosLeast} to ${most} photos are advised, there are ${usable.length}; ${reason}`,
      ),
    );
  }
  if (role === 'motion' && usable.length < LIMITS.clipsLeast) {
    findings.push(
      finding(
        'warning',
        'clip-count',
        `${LIMITS.clipsLeast} or more clips are advised, there are ${usable.length}; few teach who moves along with the motion`,
      ),
    );
  }
  if (role === 'motion') findings.push(...judgeLengths(usable, request));
  return findings;
}

/** Clips of one batch must be equally long. */
function judgeLengths(usable: readonly FileReport[], request: DoctorRequest): Finding[] {
  const lengths = usable.map(({ usedFrames }) => usedFrames ?? 0);
  const shortest = Math.min(...lengths);
  const longest = Math.max(...lengths);
  if (shortest < longest) {
    const short = usable.filter(({ usedFrames }) => usedFrames !== longest).map(({ path }) => basename(path));
    const message = `clips give ${shortest} to ${longest} frames, but a batch needs equal ones: use --frames ${shortest}, or leave out ${short.join(', ')}`;
    return [finding('error', 'unequal-lengths', message)];
  }
  if (longest >= request.frames - request.temporalRatio + 1) return [];
  return [
    finding('warning', 'short-clips', `the clips give ${longest} frames; ${request.frames} were asked for`),
  ];
}

const CONVERTIBLE = new Set(['.heic', '.heif', '.avif', '.tif', '.tiff', '.bmp', '.jxl', '.dng', '.svg']);

/** Findings about files in a folder that are not read. */
export function judgeIgnored(folder: string, names: readonly string[]): Finding[] {
  const convertible = names.filter((name) => CONVERTIBLE.has(extname(name).toLowerCase()));
  if (convertible.length === 0) return [];
  const shown = convertible.slice(0, 5).join(', ');
  return [
    finding(
      'warning',
      'ignored',
      `${shown} in ${folder} ${convertible.length > 1 ? 'are' : 'is'} not read; convert to png or jpg`,
    ),
  ];
}
