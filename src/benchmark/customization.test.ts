import { describe, expect, it } from 'vitest';
import { type Customization, customizationOf } from './customization.ts';
import type { ExamRecord, JudgedCase, MotionRecord } from './motion-results.ts';
import { measured, planOf, resultOf } from './plan.cases.ts';
import { renderCustomizationCsv, verdictLines } from './report-customization.ts';
import type { BenchResult } from './result.ts';

const CASES = ['a', 'b', 'c', 'd', 'e', 'f'];
const PROMPTS = 4;
const plan = planOf({ benchmark: 'customization' }, CASES, PROMPTS);

/** How much more alike than the base a clip is, and what it is taken for; the motion of a case has its name. */
interface Clip {
  readonly gain: number;
  readonly motion: string;
}

type Made = (caseId: string, variant: string, prompt: number) => Clip | undefined;

function found(made: Made): Customization {
  const results: BenchResult[] = [];
  const cases: JudgedCase[] = [];
  for (const id of CASES) {
    const clips: JudgedCase['clips'] = [];
    for (const variant of ['base', 'official', 'clean']) {
      for (let prompt = 0; prompt < PROMPTS; prompt++) {
        const clip = made(id, variant, prompt);
        if (!clip) continue;
        // Prompts differ more than rows do: only the difference clip by clip tells.
        const likeness = 0.3 + 0.1 * prompt + clip.gain;
        const values = [measured('clip-i', likeness), measured('dino-i', likeness)];
        results.push(resultOf(id, variant, prompt, values));
        clips.push({ variant, prompt, motion: clip.motion, heldOut: clip.motion });
      }
    }
    cases.push({ version: 1, case: id, clips });
  }
  return customizationOf(plan, results, { cases });
}

const BASE: Clip = { gain: 0, motion: 'at-rest' };
const good: Made = (id, variant, prompt) =>
  variant === 'base' ? BASE : { gain: 0.05 + 0.01 * prompt, motion: prompt < 2 ? id : 'slide-left' };

describe('the verdict on customization', () => {
  it('holds where all pairs are clearly more alike and half of the clips are recognised', () => {
    const verdict = found(good);
    expect(verdict.holds).toBe(true);
    expect(verdict.counted).toEqual(CASES);
    for (const { pairs, overall, holding } of verdict.presets) {
      expect(holding).toBe(6);
      expect(pairs[0].clipI).toMatchObject({ isAbove: true });
      expect(pairs[0].clipI!.difference).toBeCloseTo(0.065, 10);
      expect(pairs[0].clipI!.interval!.low).toBeGreaterThan(0.04);
      expect(pairs[0].motion).toMatchObject({ clips: 4, recognised: 2, share: 0.5, baseShare: 0 });
      expect(pairs[0].answers).toEqual([
        { motion: 'a', clips: 2 },
        { motion: 'slide-left', clips: 2 },
      ]);
      expect(overall.motion).toMatchObject({ clips: 24, recognised: 12, isEnough: true });
    }
  });

  it('does not where a preset is recognised in fewer than half of one pair', () => {
    const verdict = found((id, variant, prompt) =>
      variant === 'clean' && id === 'c' && prompt === 0
        ? { gain: 0.05, motion: 'slide-left' }
        : good(id, variant, prompt),
    );
    expect(verdict.holds).toBe(false);
    expect(verdict.presets.map(({ holding }) => holding)).toEqual([6, 5]);
    expect(verdict.presets[1].pairs[2]).toMatchObject({ motion: { isEnough: false }, holds: false });
  });

  it('does not where the interval of the difference reaches down to 0, however large the mean', () => {
    const verdict = found((id, variant, prompt) =>
      variant === 'base' ? BASE : { gain: prompt === 3 ? -0.1 : 0.1, motion: id },
    );
    const [{ pairs, overall, holding }] = verdict.presets;
    expect(pairs[0].dinoI!.difference).toBeCloseTo(0.05, 10);
    expect(pairs[0].dinoI).toMatchObject({ isAbove: false });
    expect(holding).toBe(0);
    // Pairs are drawn, not clips: between them nothing varies.
    expect(overall.dinoI).toMatchObject({ isAbove: true });
  });

  it('counts only pairs whose clips are all there, and never holds on fewer than six', () => {
    const verdict = found((id, variant, prompt) =>
      id === 'f' && variant === 'official' && prompt === 3 ? undefined : good(id, variant, prompt),
    );
    expect(verdict.counted).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(verdict.presets.map(({ holding }) => holding)).toEqual([5, 5]);
    expect(verdict.holds).toBe(false);
  });

  it('compares nothing that was measured in two ways', () => {
    const results = ['base', 'official', 'clean'].flatMap((variant) =>
      [0, 1, 2, 3].map((prompt) => {
        const value = measured('clip-i', variant === 'base' ? 0.1 : 0.9);
        const encoder = { ...value.encoder, hash: '2'.repeat(64) };
        return resultOf('a', variant, prompt, [variant === 'base' ? value : { ...value, encoder }]);
      }),
    );
    const clips = results.map(({ variant, prompt }) => ({ variant, prompt, motion: 'a', heldOut: 'a' }));
    const { presets } = customizationOf(plan, results, { cases: [{ version: 1, case: 'a', clips }] });
    expect(presets[0].pairs[0].clipI).toBeUndefined();
    expect(presets[0].pairs[0].holds).toBe(false);
  });

  it('is told line by line and in a table, beside what rendered clips reach', () => {
    const coded = (right: number) => ({ clips: 2, right, rightOfHeldOut: 2 });
    const exam: ExamRecord = {
      version: 1,
      classes: ['a', 'b', 'at-rest'],
      lessons: 10,
      exam: [
        { motion: 'a', clips: 10, right: 9, rightOfHeldOut: 10, throughCodec: coded(2) },
        { motion: 'b', clips: 10, right: 7, rightOfHeldOut: 8, throughCodec: coded(0) },
        { motion: 'z', clips: 10, right: 0, rightOfHeldOut: 0 },
      ],
    };
    const record: Pick<MotionRecord, 'exam'> = { exam };
    const verdict = found(good);
    const lines = verdictLines(verdict, record);
    expect(lines[2]).toMatch(
      /^official: motion recognised in at least 50 %: yes, 50 % .*, base 0 %, rendered clips 80 % \(through the codec 50 %\); on 6 of 6 pairs$/,
    );
    expect(lines.at(-1)).toBe('customization works on at least 6 pairs with every preset: yes');
    const csv = renderCustomizationCsv(verdict, record).split('\r\n');
    expect(csv.find((line) => line.startsWith('official,a,a,4,motion,'))).toMatch(
      /,0,0\.5,0\.5,.*,1,0\.9,1$/,
    );
    expect(
      verdictLines(
        found(() => undefined),
        {},
      ),
    ).toEqual(['No case is complete yet.']);
  });
});
