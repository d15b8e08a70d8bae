import { expect, it } from 'vitest';
import { requireSafeName } from '../store/safe-name.ts';
import { outputId } from './output-id.ts';

it.each([
  ['A dog, playing guitar!', /^a-dog-playing-guitar-s7-[0-9a-f]{8}$/],
  ['Ein Bär spült Töpfe', /^ein-bar-spult-topfe-s7-[0-9a-f]{8}$/],
  ['狗在弹吉他 🎸', /^video-s7-[0-9a-f]{8}$/],
  ['../../etc/passwd', /^etc-passwd-s7-[0-9a-f]{8}$/],
  ['   ', /^video-s7-[0-9a-f]{8}$/],
])('%s is named so that it can be read and is safe on every system', (prompt, name) => {
  const id = outputId(prompt, 7, { prompt });
  expect(id).toMatch(name);
  expect(requireSafeName(id, 'id')).toBe(id);
});

it('stays short for a long prompt and a huge seed', () => {
  const id = outputId('a long prompt '.repeat(50), Number.MAX_SAFE_INTEGER, {});
  expect(requireSafeName(id, 'id')).toBe(id);
  expect(id).not.toContain('--');
});

it('tells recipes apart that differ in anything', () => {
  const id = (recipe: object) => outputId('x', 1, recipe);
  expect(id({ steps: 50 })).toBe(id({ steps: 50 }));
  expect(id({ steps: 50 })).not.toBe(id({ steps: 51 }));
});
