import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { measured, planOf, resultOf } from './plan.cases.ts';
import { readPlan, writePlan } from './plan.ts';
import { reportOf } from './report.ts';
import { renderTableCsv } from './report-csv.ts';
import { renderBenchPage } from './report-page.ts';
import { formatPercent } from './report-table.ts';
import { renderTableText } from './report-text.ts';
import { missingPrompts, readResults, resultPath, writeResult } from './result.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualreal-bench-report-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const plan = planOf({ benchmark: 'table1', methods: ['lora', 'dualreal'] }, ['dog-<b>', 'cat'], 1);
const results = [
  resultOf('dog-<b>', 'lora', 0, [measured('clip-i', 0.4)]),
  resultOf('dog-<b>', 'dualreal', 0, [measured('clip-i', 0.5)]),
];
const report = reportOf(plan, results);
const page = renderBenchPage({
  plan,
  ...report,
  published: report.published,
  controller: {
    timesteps: [999, 499],
    identityWeights: [
      [0.1, 0.2],
      [0.2, 0.3],
    ],
    overall: [0.15, 0.25],
    videos: 1,
  },
  motion: [],
  sheets: [{ case: 'dog-<b>', src: 'sheets/dog-<b>.png', width: 800, height: 600 }],
  times: new Map([['lora', { training: 90, generating: 20, measuring: 5 }]]),
  madeBy: 'dualreal 0.0.0',
});

describe('the page of a benchmark', () => {
  it('has our numbers, the published ones, both percentages and what made them', () => {
    expect(page).toContain('<strong>0.500</strong>');
    expect(page).toContain('DualReal, as published');
    expect(page).toContain('0.629');
    for (const text of ['+20.0 %', '+25.0 %', '+21.7 %', '+27.7 %']) expect(page).toContain(text);
    expect(page).toContain('clip (here, 111111111111)');
    expect(page).toContain('blocks 7–13');
    expect(page).toContain('1.9 min');
  });

  it('says what is missing', () => {
    expect(page).toContain('Not finished: 1 case of 2 is not complete');
    expect(page).toContain('So few cases say little');
  });

  it('needs nothing from elsewhere, and text cannot become markup', () => {
    expect(page).not.toMatch(/(src|href)="(?!sheets\/|data:)/);
    expect(page).not.toContain('dog-<b>');
    expect(page).toContain('src="sheets/dog-%3Cb%3E.png"');
  });
});

it('the table as CSV has ours and theirs', () => {
  const lines = renderTableCsv(report.table, report.published).trimEnd().split('\r\n');
  expect(lines.filter((line) => line.includes(',clip-i,')).map((line) => line.split(',clip-i,')[1])).toEqual([
    expect.stringMatching(/^0\.4,,,0,-0\.0999/),
    expect.stringMatching(/^0\.5,,,1,/),
    expect.stringMatching(/^0\.629,/),
  ]);
  expect(lines.at(-1)).toContain('"DualReal (ICCV 2025, arXiv 2505.02192), Table 1",dualreal,');
});

it('the table as text marks the best', () => {
  const text = renderTableText(report.table, report.published);
  expect(text).toMatch(/DualReal +0\.500\*/);
  expect(text).toMatch(/Two LoRAs +0\.400/);
  expect(text).toMatch(/DualReal \(paper\) +0\.629/);
  expect(renderTableText(reportOf(plan, []).table, undefined)).toBe('No case is complete yet.\n');
});

it('percentages have a sign and a true minus', () => {
  expect([0.2766, -0.05, 0, undefined].map(formatPercent)).toEqual(['+27.7 %', '−5.0 %', '0.0 %', '–']);
});

describe('what lies in the folder', () => {
  const named = planOf({ benchmark: 'table1', methods: ['lora', 'dualreal'] }, ['dog', 'cat'], 2);

  it('a plan reads back as it was; a damaged one is refused', async () => {
    await writePlan(folder, named);
    expect(await readPlan(folder)).toEqual(named);
    const path = join(folder, 'plan.json');
    writeFileSync(path, readFileSync(path, 'utf8').replace('"cat"', '"../cat"'));
    await expect(readPlan(folder)).rejects.toThrow('a name of 1 to 64 characters');
    writeFileSync(path, '{"version":1}');
    await expect(readPlan(folder)).rejects.toThrow('the plan of a benchmark, version 1');
    await expect(readPlan(join(folder, 'nowhere'))).rejects.toThrow('the folder of a benchmark');
  });

  it('results say which prompts are left, and a damaged one is named', async () => {
    const [dog] = named.cases;
    const result = resultOf('dog', 'lora', 1, [measured('clip-i', 0.25, 3)], {
      controller: { timesteps: [999], identityWeights: [[0.1]] },
    });
    expect(missingPrompts(folder, dog, 'lora')).toEqual([0, 1]);
    await writeResult(folder, result);
    expect(missingPrompts(folder, dog, 'lora')).toEqual([0]);
    expect(await readResults(folder, named)).toEqual([result]);
    const path = resultPath(folder, 'dog', 'lora', 1);
    writeFileSync(path, readFileSync(path, 'utf8').replace('"prompt":1', '"prompt":0'));
    await expect(readResults(folder, named)).rejects.toThrow('that of dog, lora, prompt 0');
    writeFileSync(path, '{}');
    await expect(readResults(folder, named)).rejects.toThrow('the result of dog, lora, prompt 1');
  });
});
