import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');

test('NOTICE names every package that is installed with the program', () => {
  const { dependencies, optionalDependencies } = JSON.parse(read('package.json')) as Record<
    'dependencies' | 'optionalDependencies',
    Record<string, string>
  >;
  const listed = read('NOTICE');
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies }))
    expect(listed).toContain(` ${name} `);
});

test.each(['demo', 'evaluation'])('NOTICE names every package whose art is in %s/', (folder) => {
  const packages = [...read(`${folder}/NOTICE.txt`).matchAll(/^(\S+) \S+ \((\S+)\):$/gm)];
  expect(packages.length).toBeGreaterThan(0);
  const listed = read('NOTICE');
  expect(listed).toContain(`${folder}/NOTICE.txt`);
  for (const [, name, licence] of packages) expect(listed).toMatch(new RegExp(`${name} +${licence}`));
});
