import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readManifest } from './manifest.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualreal-manifest-'));
const at = (...parts: string[]) => join(folder, ...parts);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

for (const [name, file] of [
  ['photos/My Dog', '1.png'],
  ['clips/guitar', '1.mp4'],
]) {
  mkdirSync(at(name), { recursive: true });
  writeFileSync(at(name, file), 'looked at later');
}
mkdirSync(at('empty'));

let written = 0;
async function read(manifest: unknown) {
  const file = at(`${++written}.json`);
  writeFileSync(file, typeof manifest === 'string' ? manifest : JSON.stringify(manifest));
  return readManifest(file);
}

const dog = { subject: 'photos/My Dog', motion: 'clips/guitar' };

describe('a manifest of cases', () => {
  it('names cases after their folders, from its own place; class words fill prompts', async () => {
    const { cases, base } = await read({
      version: 1,
      base: 'models/base',
      prompts: ['a {subject} on a beach'],
      cases: [
        { ...dog, classWord: 'dog' },
        { ...dog, id: 'second', prompts: ['x', 'y'] },
      ],
    });
    expect(base).toBe(at('models', 'base'));
    expect(cases[0]).toEqual({
      id: 'my-dog-guitar',
      subject: at('photos', 'My Dog'),
      motion: at('clips', 'guitar'),
      photos: at('photos', 'My Dog'),
      clips: at('clips', 'guitar'),
      classWord: 'dog',
      subjectWord: 'dog',
      prompts: ['a dog on a beach'],
    });
    expect(cases[1]).toMatchObject({ id: 'second', prompts: ['x', 'y'] });
  });

  it('may name the embedded base', async () => {
    expect((await read({ version: 1, base: 'toybox', cases: [{ ...dog, prompts: ['x'] }] })).base).toBe(
      'toybox',
    );
  });

  it('tells every problem at once', async () => {
    const cases = [
      { ...dog, prompts: ['x'] },
      { ...dog, prompts: ['x'] },
      { ...dog, id: 'no-prompts' },
      { ...dog, id: 'no-word', prompts: ['a {subject}'] },
      { ...dog, id: '../up', prompts: ['x'] },
      { ...dog, id: 'gone', subject: 'photos/cat', prompts: ['x'] },
      { ...dog, id: 'bare', motion: 'empty', prompts: ['x'] },
    ];
    const error = await read({ version: 1, cases }).catch((thrown: Error) => thrown);
    const { message } = error as Error;
    expect(message).toContain('6 problems');
    expect(message).toContain('cases.1: two cases are called my-dog-guitar');
    expect(message).toContain('cases.2: no prompts');
    expect(message).toContain('cases.3: a prompt has {subject}');
    expect(message).toContain('cases.4: id: expected a name');
    expect(message).toContain(at('photos', 'cat'));
    expect(message).toContain(at('empty'));
  });

  it('refuses what it does not know, and what is no JSON or not there', async () => {
    await expect(read({ version: 1, cases: [{ ...dog, promts: ['x'] }] })).rejects.toThrow('promts');
    await expect(read({ version: 2, cases: [dog] })).rejects.toThrow('version');
    await expect(read({ version: 1, cases: [] })).rejects.toThrow('cases');
    await expect(read({ version: 1, cases: [{ ...dog, prompts: ['x', 'x'] }] })).rejects.toThrow(
      'no prompt twice',
    );
    await expect(read('cases: []')).rejects.toThrow('valid JSON');
    await expect(readManifest(at('nowhere.json'))).rejects.toThrow('ENOENT');
  });
});
