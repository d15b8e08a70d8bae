import { describe, expect, it } from 'vitest';
import { requireSafeName, UnsafeNameError } from './safe-name.ts';

describe('requireSafeName', () => {
  it.each(['a', '7', 'step-00000100', '2026-01-02t03.04.05z', 'a_b.c-d', 'x'.repeat(64), 'console'])(
    'accepts %s',
    (name) => {
      expect(requireSafeName(name, 'id')).toBe(name);
    },
  );

  it.each([
    '',
    '.',
    '..',
    '../x',
    'a/b',
    'a\\b',
    '/etc/passwd',
    'C:',
    'c:x',
    '.hidden',
    'end.',
    'end ',
    ' start',
    'con',
    'nul.txt',
    'com1',
    'lpt9.mp4',
    'A',
    'ä',
    'a\0',
    'a\nb',
    'a%2fb',
    'x'.repeat(65),
    '~',
    '-rf',
    undefined,
    null,
    7,
    ['a'],
    { toString: () => 'a' },
  ])('refuses %j', (name) => {
    expect(() => requireSafeName(name, 'id')).toThrow(UnsafeNameError);
  });
});
