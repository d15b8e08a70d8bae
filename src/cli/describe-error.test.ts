import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { DualrealError } from '../tensor/errors.ts';
import { describeError } from './describe-error.ts';

const ours = new DualrealError({ where: 'here', expected: 'this', got: 'that', hint: 'do so' });

it('tells an error thrown on purpose without its stack', () => {
  expect(describeError(ours, false)).toBe('here: expected this, got that\n  hint: do so');
  expect(describeError(ours, true)).toContain('describe-error.test');
});

it('tells what the file system refused, and where', () => {
  const folder = mkdtempSync(join(tmpdir(), 'describe-error-'));
  try {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    expect(
      describeError(
        thrownBy(() => readFileSync(join(folder, 'none'))),
        false,
      ),
    ).toBe(`${join(folder, 'none')}: no such file or folder (ENOENT)`);
    expect(
      describeError(
        thrownBy(() => writeFileSync(join(file, 'x'), '')),
        false,
      ),
    ).toContain('(ENOTDIR)');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it('shows the stack of a mistake of ours, and anything else as text', () => {
  expect(describeError(new TypeError('x is undefined'), false)).toContain('describe-error.test');
  expect(describeError('odd', false)).toBe('odd');
});

function thrownBy(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('it did not throw');
}
