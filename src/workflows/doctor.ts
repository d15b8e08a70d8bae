import { basename } from 'node:path';
import { type DatasetListing, type ListedFile, listDataset } from '../store/dataset.ts';
import { DualrealError, throwIfCancelled } from '../tensor/errors.ts';
import { type Examination, examineFile } from './doctor-examine.ts';
import { judgeDuplicates, judgeFile, judgeIgnored, judgeRole } from './doctor-judge.ts';
import {
  type DoctorReport,
  type FileReport,
  type Finding,
  type Role,
  type RoleReport,
  verdictOf,
} from './doctor-report.ts';
import type { DoctorRequest } from './doctor-request.ts';
import { secondsLeft, type WorkflowContext, type WorkflowEvent } from './workflow.ts';

type DoctorContext = Pick<WorkflowContext, 'signal' | 'clock'>;

/**
 * Decodes and judges the photos and clips of a training run before it starts. A file or folder that cannot be
 * used is a finding in the report, not an exception.
 */
export async function* doctor(
  request: DoctorRequest,
  context: DoctorContext,
): AsyncGenerator<WorkflowEvent, DoctorReport> {
  const roles: RoleReport[] = [];
  if (request.subject.length > 0) {
    roles.push(yield* examineRole('subject', request.subject, request.subjectPrompt, request, context));
  }
  if (request.motion.length > 0) {
    roles.push(yield* examineRole('motion', request.motion, request.motionPrompt, request, context));
  }
  const { width, height, frames, fps, fit } = request;
  return {
    target: { width, height, frames, fps, fit },
    roles,
    verdict: verdictOf(roles.map(({ verdict }) => verdict)),
  };
}

async function* examineRole(
  role: Role,
  paths: readonly string[],
  prompt: string | undefined,
  request: DoctorRequest,
  context: DoctorContext,
): AsyncGenerator<WorkflowEvent, RoleReport> {
  const stage = role === 'subject' ? 'examining photos' : 'examining clips';
  yield { type: 'stage', stage, detail: paths.join(', ') };
  const { files, findings } = await listAll(paths, prompt);
  const examined = new Map<string, Examination>();
  const refusals = new Map<string, Finding>();
  const startedMs = context.clock();
  for (const [index, { path }] of files.entries()) {
    throwIfCancelled(context.signal, stage);
    try {
      examined.set(path, await examineFile(path, request, context.signal));
    } catch (error) {
      refusals.set(path, refusal(error, path));
    }
    const left = secondsLeft(startedMs, context.clock(), index + 1, files.length);
    const progress = {
      done: index + 1,
      total: files.length,
      ...(left !== undefined && { secondsLeft: left }),
    };
    yield { type: 'progress', stage, ...progress };
  }
  const own = new Map(
    files.map(({ path }) => {
      const examination = examined.get(path);
      return [path, examination ? judgeFile(role, examination, request) : [refusals.get(path)!]];
    }),
  );
  const spoilt = (path: string) => own.get(path)?.some(({ level }) => level === 'error');
  const duplicates = judgeDuplicates(new Map([...examined].filter(([path]) => !spoilt(path))));
  const reports = files.map((file) => {
    const same = duplicates.get(file.path);
    const findings = [...own.get(file.path)!, ...(same ? [same] : []), ...captionFindings(file)];
    return fileReport(file, examined.get(file.path), findings);
  });
  return roleReport(role, paths, reports, [...findings, ...judgeRole(role, reports, request)]);
}

interface Listed {
  readonly files: readonly ListedFile[];
  readonly findings: readonly Finding[];
}

async function listAll(paths: readonly string[], prompt: string | undefined): Promise<Listed> {
  const files = new Map<string, ListedFile>();
  const findings: Finding[] = [];
  for (const path of paths) {
    let listing: DatasetListing;
    try {
      listing = await listDataset(path, { prompt });
    } catch (error) {
      findings.push(refusal(error));
      continue;
    }
    for (const file of listing.files) files.set(file.path, file);
    findings.push(...judgeIgnored(path, listing.ignored));
  }
  return { files: [...files.values()], findings };
}

/** An error made on purpose, as a finding (about `path`, whose name stands before it); others go on. */
function refusal(error: unknown, path?: string): Finding {
  if (!(error instanceof DualrealError)) throw error;
  const hint = error.hint === undefined ? '' : `; ${error.hint}`;
  const message =
    error.where === path
      ? `cannot be used: ${error.got}${hint}`
      : `${error.where}: expected ${error.expected}, got ${error.got}${hint}`;
  return { level: 'error', code: 'unreadable', message };
}

function captionFindings({ path, caption }: ListedFile): Finding[] {
  if (caption !== undefined) return [];
  const stem = basename(path).replace(/\.[^.]*$/, '');
  const message = `has no caption: give a prompt for all files, or write one into ${stem}.txt next to it`;
  return [{ level: 'error', code: 'no-caption', message }];
}

function fileReport(file: ListedFile, examination: Examination | undefined, findings: Finding[]): FileReport {
  const caption = file.caption && { caption: file.caption.text, captionSource: file.caption.source };
  const common = {
    path: file.path,
    verdict: verdictOf(findings.map(({ level }) => level)),
    findings,
    ...caption,
  };
  if (!examination) return common;
  const { kind, codec, width, height, frameCount, fps, durationS } = examination.facts;
  const { sizeBytes, usedFrames, usedDurationS, reachableFrames } = examination;
  return {
    ...common,
    ...{ sizeBytes, kind, codec, width, height, frameCount, fps, durationS },
    ...{ usedFrames, usedDurationS, droppedFrames: reachableFrames - usedFrames },
  };
}

function roleReport(
  role: Role,
  paths: readonly string[],
  files: readonly FileReport[],
  findings: readonly Finding[],
): RoleReport {
  const usableFiles = files.filter(({ verdict }) => verdict !== 'error').length;
  const verdict = verdictOf([...files.map((file) => file.verdict), ...findings.map(({ level }) => level)]);
  return {
    role,
    paths,
    files,
    findings,
    usableFiles,
    verdict,
    summary: summaryOf(role, files, usableFiles, verdict),
  };
}

function summaryOf(
  role: Role,
  files: readonly FileReport[],
  usable: number,
  verdict: RoleReport['verdict'],
): string {
  const noun = role === 'subject' ? 'photo' : 'clip';
  const total = `${files.length} ${noun}${files.length === 1 ? '' : 's'}`;
  const doubtful = files.filter((file) => file.verdict === 'warning').length;
  const counts = [`${usable} usable`, ...(doubtful > 0 ? [`${doubtful} with warnings`] : [])].join(', ');
  const judgement = {
    ok: `ready for training as a ${role}`,
    warning: `can be used as a ${role}; see the warnings`,
    error: `not ready as a ${role}; see the errors`,
  }[verdict];
  return `${total} (${counts}): ${judgement}.`;
}
