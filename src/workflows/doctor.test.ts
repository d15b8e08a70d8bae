import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import {
  mosaic,
  movingDisc,
  type SampleVideo,
  writeSampleVideo,
  writeText,
} from '../../test/media-samples.ts';
import { encodePhoto, resize } from '../media/index.ts';
import { CancelledError } from '../tensor/errors.ts';
import { type HostTensor, hostTensor, zeros } from '../tensor/host-tensor.ts';
import { doctor } from './doctor.ts';
import type { DoctorReport, FileReport } from './doctor-report.ts';
import { type DoctorRequestInput, doctorRequestSchema } from './doctor-request.ts';
import { renderDoctorReport } from './doctor-text.ts';
import { runWorkflow, type WorkflowEvent } from './workflow.ts';

const root = mkdtempSync(join(tmpdir(), 'dualreal-doctor-'));
afterAll(() => rmSync(root, { recursive: true }));
let folder: string;
let serial = 0;
beforeEach(() => {
  folder = join(root, `data-${serial++}`);
  mkdirSync(folder);
});
const at = (name: string) => join(folder, name);

const TARGET = { width: 72, height: 48, frames: 9 } as const;

async function examine(
  input: DoctorRequestInput,
  onEvent: (event: WorkflowEvent) => void = () => {},
): Promise<DoctorReport> {
  const request = doctorRequestSchema.parse({ ...TARGET, ...input });
  const report = await runWorkflow(doctor(request, { clock: () => performance.now() }), onEvent);
  expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  return report;
}

/** Codes of warnings and errors by file name. */
const troubles = (report: DoctorReport, role = 0) =>
  Object.fromEntries(report.roles[role].files.map((file) => [basename(file.path), codes(file)]));
const codes = ({ findings }: Pick<FileReport, 'findings'>) =>
  findings.filter(({ level }) => level !== 'note').map(({ level, code }) => `${level}:${code}`);

const photo = (seed: number, width = 72, height = 48) => mosaic(seed, width, height);
const clip = (name: string, frames: HostTensor<'u8'>, sample: SampleVideo = { fps: 25 }) =>
  writeSampleVideo(at(name), frames, sample);

describe('a subject', () => {
  it('good photos are good', async () => {
    for (const seed of [0, 3, 7]) await encodePhoto(at(`${seed}.png`), photo(seed));
    const events: WorkflowEvent[] = [];
    const report = await examine({ subject: [folder], subjectPrompt: 'disc *' }, (event) =>
      events.push(event),
    );
    expect(troubles(report)).toEqual({ '0.png': [], '3.png': [], '7.png': [] });
    expect(report).toMatchObject({ verdict: 'ok', roles: [{ usableFiles: 3, verdict: 'ok', findings: [] }] });
    expect(report.roles[0].summary).toBe('3 photos (3 usable): ready for training as a subject.');
    expect(report.roles[0].files[0]).toMatchObject({
      caption: 'disc *',
      captionSource: 'prompt',
      width: 72,
      usedFrames: 1,
    });
    expect(events.map(({ type }) => type)).toEqual(['stage', 'progress', 'progress', 'progress']);
    expect(events[3]).toMatchObject({ done: 3, total: 3 });
  });

  it('tells what is wrong with each photo', async () => {
    await encodePhoto(at('good.png'), photo(0));
    copyFileSync(at('good.png'), at('good-copy.png'));
    await encodePhoto(at('good-larger.png'), resize(photo(0), { width: 144, height: 96 }));
    const dark = photo(4);
    await encodePhoto(
      at('dark.png'),
      hostTensor(
        'u8',
        dark.shape,
        dark.data.map((value) => value / 6),
      ),
    );
    await encodePhoto(at('flat.png'), zeros('u8', [48, 72, 3]));
    await encodePhoto(at('square.png'), photo(2, 60, 60));
    await encodePhoto(at('tiny.png'), photo(5, 24, 16));
    await encodePhoto(
      at('soft.png'),
      resize(resize(photo(1, 720, 480), { width: 9, height: 6 }), { width: 720, height: 480 }),
    );
    await clip('moving.avi', movingDisc(12, 72, 48, 5));
    writeText(at('broken.jpg'), 'no picture');
    writeText(at('photo.heic'), 'x');
    const report = await examine({ subject: [folder], subjectPrompt: 'disc *' });
    expect(troubles(report)).toEqual({
      'broken.jpg': ['error:unreadable'],
      'dark.png': ['warning:dark'],
      'flat.png': ['warning:flat'],
      'good.png': ['warning:duplicate'],
      'good-copy.png': [],
      'good-larger.png': ['warning:near-duplicate'],
      'moving.avi': ['warning:clip-as-photo'],
      'soft.png': ['warning:blurred'],
      'square.png': ['warning:stretched'],
      'tiny.png': ['warning:small'],
    });
    expect(report.roles[0]).toMatchObject({ usableFiles: 9, verdict: 'error' });
    expect(codes(report.roles[0])).toEqual(['warning:ignored']);
    expect(report.roles[0].files[0].findings[0].message).toBe(
      'cannot be used: data that is no png, jpg, webp or gif picture',
    );
  });

  it('counts, and asks for captions', async () => {
    await encodePhoto(at('1.png'), photo(0));
    await encodePhoto(at('2.png'), photo(3));
    writeText(at('1.txt'), 'a disc');
    const report = await examine({ subject: [folder] });
    expect(troubles(report)).toEqual({ '1.png': [], '2.png': ['error:no-caption'] });
    expect(codes(report.roles[0])).toEqual(['warning:photo-count']);
    for (let i = 3; i < 14; i++) copyFileSync(at('2.png'), at(`${i}.png`));
    const many = await examine({ subject: [folder], subjectPrompt: 'disc' });
    expect(codes(many.roles[0])).toEqual(['warning:photo-count']);
  });

  it('how photos are fitted decides what is said about their shape', async () => {
    await encodePhoto(at('square.png'), photo(0, 72, 72));
    await encodePhoto(at('strip.png'), photo(1, 288, 48));
    const said = async (fit: 'stretch' | 'crop' | 'pad') =>
      Object.values(troubles(await examine({ subject: [folder], subjectPrompt: 'x', fit })));
    expect(await said('stretch')).toEqual([['warning:stretched'], ['warning:stretched']]);
    expect(await said('crop')).toEqual([['warning:cropped'], ['warning:cropped']]);
    expect(await said('pad')).toEqual([['warning:padded'], ['warning:padded']]);
  });

  it('a data set that cannot be read is a finding', async () => {
    writeText(at('videos.txt'), '../secret.mp4\n');
    const report = await examine({ subject: [folder, join(root, 'nowhere')], subjectPrompt: 'x' });
    expect(codes(report.roles[0])).toEqual(['error:unreadable', 'error:unreadable', 'error:none-usable']);
    expect(report.verdict).toBe('error');
  });
});

describe('a motion', () => {
  const disc = movingDisc(30, 72, 48);

  it('official clips: the first frames at their own rate', async () => {
    for (const phase of [0, 2, 4]) await clip(`${phase}.avi`, movingDisc(30, 72, 48, phase));
    const report = await examine({ motion: [folder], motionPrompt: 'a disc is moving' });
    expect(report.verdict).toBe('ok');
    expect(report.roles[0].files[0]).toMatchObject({
      kind: 'clip',
      codec: 'mpeg4',
      frameCount: 30,
      fps: 25,
      durationS: 1.2,
      usedFrames: 9,
      usedDurationS: 0.36,
      droppedFrames: 0,
    });
    const notes = report.roles[0].files[0].findings.map(({ code }) => code);
    expect(notes).toEqual(['frames-used', 'speed']);
  });

  it('tells what is wrong with each clip', async () => {
    const still = movingDisc(1, 72, 48, 3);
    const cut = { ...disc, data: disc.data.slice() };
    const at5 = 5 * 72 * 48 * 3;
    for (let i = at5; i < cut.data.length; i++) cut.data[i] = 255 - cut.data[i];
    const long = movingDisc(150, 72, 48, 5);
    await clip('cut.avi', cut, { fps: 25, output: ['-c:v', 'mpeg4', '-q:v', '2'] });
    await clip('photo.mp4', movingDisc(1, 72, 48), { fps: 1 });
    await clip('short.avi', movingDisc(4, 72, 48, 1));
    await clip('seven.avi', movingDisc(7, 72, 48, 2));
    await clip(
      'still.avi',
      hostTensor(
        'u8',
        [12, 48, 72, 3],
        Uint8Array.from({ length: 12 * still.data.length }, (_, i) => still.data[i % still.data.length]),
      ),
    );
    await clip('uneven.mkv', movingDisc(30, 72, 48, 4), {
      fps: 25,
      output: [
        '-vf',
        'settb=1/1000,setpts=N*40+(floor(N/3))*80',
        '-fps_mode',
        'passthrough',
        '-c:v',
        'mpeg4',
      ],
    });
    await clip('whole.avi', long, { fps: 25, output: ['-c:v', 'mpeg4', '-g', '3'] });
    const bytes = readFileSync(at('whole.avi'));
    for (let i = bytes.length - 9000; i < bytes.length - 5000; i += 97) bytes[i] ^= 0x55;
    writeFileSync(at('damaged-late.avi'), bytes);
    const report = await examine({ motion: [folder], motionPrompt: 'x' });
    expect(troubles(report)).toMatchObject({
      'cut.avi': ['warning:cut'],
      'damaged-late.avi': expect.arrayContaining(['warning:damaged-later']),
      'photo.mp4': ['error:photo-as-clip'],
      'seven.avi': [],
      'short.avi': ['error:too-short'],
      'still.avi': ['warning:still'],
      'uneven.mkv': ['warning:variable-frame-rate'],
    });
    const cutMessage = report.roles[0].files
      .find(({ path }) => path.endsWith('cut.avi'))
      ?.findings.map(({ message }) => message);
    expect(cutMessage?.join()).toMatch(/abruptly at frame 5/);
    const seven = report.roles[0].files.find(({ path }) => path.endsWith('seven.avi'));
    expect(seven).toMatchObject({ usedFrames: 5, droppedFrames: 2 });
    expect(codes(report.roles[0])).toEqual(['error:unequal-lengths']);
    expect(report.roles[0].findings[0].message).toMatch(/use --frames 5, or leave out seven\.avi/);
  });

  it('refuses damage in the frames used', async () => {
    await clip('a.avi', disc, { fps: 25, output: ['-c:v', 'mpeg4', '-g', '3'] });
    const bytes = readFileSync(at('a.avi'));
    for (let i = 6000; i < bytes.length - 2000; i += 41) bytes[i] ^= 0x55;
    writeFileSync(at('a.avi'), bytes);
    expect(troubles(await examine({ motion: [folder], motionPrompt: 'x' }))['a.avi']).toContain(
      'error:damaged',
    );
  });

  it('judges speed and length at another frame rate', async () => {
    for (const phase of [0, 2, 4]) await clip(`${phase}.avi`, movingDisc(10, 72, 48, phase), { fps: 5 });
    const resampled = await examine({ motion: [folder], motionPrompt: 'x', fps: 8 });
    expect(troubles(resampled)['0.avi']).toEqual(['warning:repeated-frames']);
    expect(resampled.roles[0].files[0]).toMatchObject({ usedFrames: 9, usedDurationS: 1.125 });
    const long = await examine({ motion: [folder], motionPrompt: 'x', frames: 49 });
    expect(codes(long.roles[0])).toEqual(['warning:short-clips']);
  });
});

it('can be cancelled', async () => {
  await encodePhoto(at('1.png'), photo(0));
  const request = doctorRequestSchema.parse({ ...TARGET, subject: [folder] });
  const run = runWorkflow(doctor(request, { clock: () => 0, signal: AbortSignal.abort() }), () => {});
  await expect(run).rejects.toThrow(CancelledError);
});

it('asks for something to examine, and knows its options', () => {
  expect(doctorRequestSchema.safeParse({}).success).toBe(false);
  expect(doctorRequestSchema.safeParse({ subject: ['a'], colour: 1 }).success).toBe(false);
  expect(doctorRequestSchema.parse({ motion: ['a'] })).toMatchObject({
    width: 720,
    height: 480,
    frames: 49,
    fps: 'native',
  });
});

describe('renderDoctorReport', () => {
  const file = (path: string, findings: FileReport['findings'] = []): FileReport => ({
    ...{
      path,
      verdict: 'ok',
      findings,
      caption: 'dog *',
      captionSource: 'prompt',
      kind: 'photo',
      codec: 'png',
    },
    ...{
      width: 72,
      height: 48,
      frameCount: 1,
      fps: 0,
      durationS: 0,
      usedFrames: 1,
      usedDurationS: 0,
      droppedFrames: 0,
    },
  });
  const report = (files: FileReport[]): DoctorReport => ({
    target: { width: 72, height: 48, frames: 9, fps: 'native', fit: 'crop' },
    roles: [
      {
        role: 'subject',
        paths: ['dog'],
        files,
        findings: [],
        usableFiles: files.length,
        verdict: 'ok',
        summary: 'Fine.',
      },
    ],
    verdict: 'ok',
  });
  const note = { level: 'note', code: 'n', message: 'said of all' } as const;

  it('says once what is true of all files', () => {
    const own = { level: 'warning', code: 'w', message: 'only here' } as const;
    expect(
      renderDoctorReport(report([file('/a/1.png', [note, own]), file('/a/2.png', [note])]), {
        colour: false,
      }),
    ).toBe(
      [
        'For 72×48, 9 frames at the clips’ own frame rates, fit crop',
        '',
        'Subject: dog',
        '  ✓ 1.png  72×48, png, “dog *”',
        '      ! only here',
        '  ✓ 2.png  72×48, png, “dog *”',
        '  all 2 of them:',
        '      · said of all',
        '  Fine.',
        '',
      ].join('\n'),
    );
  });

  it('lets no control codes of names and captions through', () => {
    const hostile = { ...file('/a/\u001b[2J\nx.png'), caption: 'a\u0007b\u009b' };
    const text = renderDoctorReport(report([hostile]), { colour: false });
    expect(text).toContain(' [2J x.png');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(text.replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
    expect(renderDoctorReport(report([file('/a/1.png', [note])]), { colour: true })).toContain(
      '\u001b[2m· said of all\u001b[0m',
    );
  });
});
