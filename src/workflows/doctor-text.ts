import { basename } from 'node:path';
import type { DoctorReport, FileReport, Finding, RoleReport, Verdict } from './doctor-report.ts';

const MARKS: Record<Finding['level'] | Verdict, string> = { ok: '✓', note: '·', warning: '!', error: '✗' };
const COLOURS: Record<Finding['level'] | Verdict, number> = { ok: 32, note: 2, warning: 33, error: 31 };

/** The report for people, as lines of text; with `colour` marked by ANSI colours. */
export function renderDoctorReport(report: DoctorReport, options: { readonly colour: boolean }): string {
  const paint = (text: string, kind: Finding['level'] | Verdict) =>
    options.colour ? `\x1b[${COLOURS[kind]}m${text}\x1b[0m` : text;
  const { width, height, frames, fps, fit } = report.target;
  const rate = fps === 'native' ? 'at the clips’ own frame rates' : `at ${fps} fps`;
  const lines = [`For ${width}×${height}, ${frames} frames ${rate}, fit ${fit}`];
  const describe = (findings: readonly Finding[], indent: string) => {
    for (const { level, message } of findings) {
      lines.push(`${indent}${paint(`${MARKS[level]} ${oneLine(message)}`, level)}`);
    }
  };
  for (const role of report.roles) {
    const shared = sharedFindings(role.files);
    lines.push('', titleOf(role));
    for (const file of role.files) {
      lines.push(
        `  ${paint(MARKS[file.verdict], file.verdict)} ${oneLine(basename(file.path))}${factsOf(file)}`,
      );
      describe(
        file.findings.filter(({ message }) => !shared.has(message)),
        '      ',
      );
    }
    if (shared.size > 0) lines.push(`  all ${role.files.length} of them:`);
    describe([...shared.values()], '      ');
    describe(role.findings, '  ');
    lines.push(`  ${paint(role.summary, role.verdict)}`);
  }
  return `${lines.join('\n')}\n`;
}

/** Findings that every one of several files has, word for word: said once. Keyed by message. */
function sharedFindings(files: readonly FileReport[]): Map<string, Finding> {
  if (files.length < 2) return new Map();
  const everywhere = files[0].findings.filter(({ message }) =>
    files.every((file) => file.findings.some((other) => other.message === message)),
  );
  return new Map(everywhere.map((finding) => [finding.message, finding]));
}

function titleOf({ role, paths }: RoleReport): string {
  return `${role === 'subject' ? 'Subject' : 'Motion'}: ${oneLine(paths.join(', '))}`;
}

function factsOf(file: FileReport): string {
  if (file.kind === undefined) return '';
  const parts = [`${file.width}×${file.height}`, file.codec];
  if (file.kind === 'clip')
    parts.push(`${file.frameCount} frames`, `${file.fps} fps`, `${file.durationS?.toFixed(2)} s`);
  if (file.caption !== undefined) parts.push(`“${oneLine(file.caption)}”`);
  return `  ${parts.join(', ')}`;
}

/** Names and captions come from outside: no line breaks and no control codes reach the terminal. */
function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ');
}
