import { expect, it } from 'vitest';
import type { WorkflowEvent } from '../workflows/workflow.ts';
import { createEventPrinter, formatBytes, formatDuration } from './events.ts';

it.each([
  [0, '0 s'],
  [59.4, '59 s'],
  [59.6, '1 min 00 s'],
  [245, '4 min 05 s'],
  [3600 * 3 + 60 * 12 + 5, '3 h 12 min'],
  [-1, '0 s'],
])('%d seconds read %s', (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text);
});

it.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1536, '1.5 KiB'],
  [200 * 2 ** 20, '200 MiB'],
  [11 * 2 ** 30, '11.0 GiB'],
])('%d bytes read %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

interface Terminal {
  readonly stream: NodeJS.WriteStream;
  readonly text: () => string;
}

function terminal(isTTY: boolean): Terminal {
  let written = '';
  const write = (text: string) => {
    written += text;
    return true;
  };
  return { stream: { isTTY, columns: 60, write } as unknown as NodeJS.WriteStream, text: () => written };
}

const step = (done: number, phase: 'identity' | 'motion', loss: number): WorkflowEvent => ({
  type: 'step',
  step: done,
  total: 10,
  phase,
  loss,
  learningRate: 1e-3,
  gradientNorm: 1,
  durationMs: 5,
  secondsLeft: 90,
  timesteps: [1],
  identityWeights: [[0.1]],
});

it('a log gets a line every few seconds, and always the last one', () => {
  const { stream, text } = terminal(false);
  let now = 0;
  const printer = createEventPrinter(stream, () => now);
  for (let done = 1; done <= 10; done++) {
    printer.print(step(done, 'motion', 1));
    now += 1000;
  }
  printer.finish();
  const lines = text().trimEnd().split('\n');
  expect(lines.map((line) => /(\d+)\/10/.exec(line)![1])).toEqual(['1', '6', '10']);
  expect(lines[0]).toContain('1 min 30 s left');
  expect(text()).not.toContain('\x1b');
});

it('a terminal redraws one line, no wider than itself, and ends it before the next text', () => {
  const { stream, text } = terminal(true);
  const printer = createEventPrinter(stream, () => 0);
  printer.print(step(1, 'motion', 1));
  printer.print(step(2, 'identity', 2));
  printer.print({ type: 'notice', message: 'saved' });
  const [drawn, notice] = text().split('\n');
  const redraws = drawn.split('\r\x1b[2K').slice(1);
  expect(redraws).toHaveLength(2);
  for (const redraw of redraws) expect(redraw.length).toBeLessThan(60);
  expect(notice).toBe('note: saved');
});

it('losses of both phases are smoothed apart', () => {
  const { stream, text } = terminal(false);
  let now = 0;
  const printer = createEventPrinter(stream, () => now);
  for (const [done, phase, loss] of [
    [1, 'motion', 1],
    [2, 'identity', 3],
    [3, 'motion', 2],
  ] as const) {
    printer.print(step(done, phase, loss));
    now += 10_000;
  }
  expect(text().trimEnd().split('\n').at(-1)).toContain('motion 1.0500  identity 3.0000');
});
