import { describe, expect, it } from 'vitest';
import { drawnAtlas } from '../toybox/universe/drawn-art.fixture.ts';
import { AT_REST, motionClasses, renderClass } from './motion-classes.ts';
import { universeCases } from './universe-cases.ts';

describe('what the motion classifier learns from', () => {
  const cases = universeCases({ seed: 42, split: 'evaluation' }).slice(0, 6);
  const subjects = new Set(cases.map(({ subject }) => subject));
  const classes = motionClasses('evaluation', subjects);

  it('has the held-out motions first, then those of pretraining, and rest', () => {
    expect(classes.map(({ isAsked }) => isAsked).lastIndexOf(true)).toBe(20);
    expect(classes.slice(0, 21).every(({ isAsked }) => isAsked)).toBe(true);
    expect(new Set(classes.map(({ id }) => id)).size).toBe(classes.length);
    expect(classes.at(-1)!.id).toBe(AT_REST);
    for (const { motion } of cases) expect(classes.some(({ id }) => id === motion)).toBe(true);
  });

  it("never shows the cases' subjects, and examines each held-out motion on others than taught it", () => {
    for (const { teachers, examinees, isAsked } of classes) {
      expect(teachers.length).toBeGreaterThan(0);
      expect(teachers.some(({ id }) => subjects.has(id))).toBe(false);
      expect(examinees.length > 0).toBe(isAsked);
      expect(examinees.some((one) => teachers.includes(one))).toBe(false);
    }
  });

  it('renders the same clip again, and another one for the exam', () => {
    const rendering = { seed: 42, split: 'evaluation', frames: 5, atlas: drawnAtlas() } as const;
    const [first] = classes;
    const clip = renderClass(first, 'lesson', 0, rendering);
    expect(clip.frames.length).toBe(5 * 64 * 64 * 3);
    expect(renderClass(first, 'lesson', 0, rendering)).toEqual(clip);
    expect(renderClass(first, 'lesson', 1, rendering)).not.toEqual(clip);
    expect(renderClass(first, 'exam', 0, rendering)).not.toEqual(clip);
  });
});
