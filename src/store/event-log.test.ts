import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { compileProgram, startProgram } from '../../test/child-program.ts';
import { FileFormatError } from '../tensor/errors.ts';
import { openEventLog, readEventLog } from './event-log.ts';

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dualreal-events-'));
  path = join(folder, 'events.jsonl');
});
afterEach(() => rm(folder, { recursive: true }));

describe('an event log', () => {
  it('holds one line an event, in the order of the calls', async () => {
    const log = await openEventLog(path);
    await Promise.all(Array.from({ length: 50 }, (_, step) => log.append({ type: 'step', step, loss: 0.1 })));
    await log.append({ type: 'notice', message: 'two\nlines, ünïcode' });
    await log.close();
    const lines = (await readFile(path, 'utf8')).split('\n');
    expect(lines).toHaveLength(52);
    const { events, notice, nextByte } = await readEventLog(path);
    expect(events.slice(0, 50).map(({ step }) => step)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(events[50]).toEqual({ type: 'notice', message: 'two\nlines, ünïcode' });
    expect(notice).toBeUndefined();
    expect(nextByte).toBe((await readFile(path)).byteLength);
  });

  it('can be read the moment append resolves, and goes on after closing', async () => {
    const first = await openEventLog(path);
    await first.append({ n: 1 });
    expect((await readEventLog(path)).events).toEqual([{ n: 1 }]);
    await first.close();
    const second = await openEventLog(path);
    expect(second.notice).toBeUndefined();
    await second.append({ n: 2 });
    await second.close();
    expect((await readEventLog(path)).events).toEqual([{ n: 1 }, { n: 2 }]);
  });

  it('refuses NaN before anything is written, and goes on', async () => {
    const log = await openEventLog(path);
    await expect(log.append({ loss: Number.NaN })).rejects.toThrow('event.loss: expected a finite number');
    await log.append({ loss: 1 });
    await log.close();
    expect(await readFile(path, 'utf8')).toBe('{"loss":1}\n');
  });

  it('can be followed while it grows', async () => {
    await writeFile(path, '{"n":1}\n{"n":2}\n{"n"');
    const first = await readEventLog(path);
    expect(first.events).toEqual([{ n: 1 }, { n: 2 }]);
    expect(first.notice).toMatch(/cut off after 4 bytes/);
    await appendFile(path, ':3}\n');
    const second = await readEventLog(path, { fromByte: first.nextByte });
    expect(second).toEqual({ events: [{ n: 3 }], nextByte: 24, notice: undefined });
    expect((await readEventLog(path, { fromByte: 24 })).events).toEqual([]);
    await expect(readEventLog(path, { fromByte: 25 })).rejects.toThrow(FileFormatError);
  });

  it('has no events where there is no file', async () => {
    expect(await readEventLog(path)).toEqual({ events: [], nextByte: 0, notice: undefined });
  });
});

describe('a torn or damaged log', () => {
  it('cut at any byte: whole lines are read, the rest is reported and removed on opening', async () => {
    const text = '{"a":"ü"}\n{"b":[1,2]}\n{"c":3}\n';
    const bytes = Buffer.from(text);
    for (let length = 0; length <= bytes.byteLength; length++) {
      await writeFile(path, bytes.subarray(0, length));
      const whole = bytes.subarray(0, length).lastIndexOf(10) + 1;
      const { events, notice } = await readEventLog(path);
      expect(events).toHaveLength(bytes.subarray(0, length).filter((byte) => byte === 10).length);
      expect(notice === undefined).toBe(length === whole);
      const log = await openEventLog(path);
      expect(log.notice === undefined).toBe(length === whole);
      await log.append({ d: 4 });
      await log.close();
      const after = await readEventLog(path);
      expect(after.events).toEqual([...events, { d: 4 }]);
      expect(after.notice).toBeUndefined();
    }
  });

  it('finds the end of a very long torn line, and of zeros that a power cut left', async () => {
    await writeFile(path, `{"a":1}\n{"b":"${'x'.repeat(200_000)}`);
    const log = await openEventLog(path);
    expect(log.notice).toMatch(/cut off after 200006 bytes and was removed/);
    await log.close();
    expect(await readFile(path, 'utf8')).toBe('{"a":1}\n');
    await appendFile(path, Buffer.alloc(1000));
    expect((await readEventLog(path)).events).toEqual([{ a: 1 }]);
  });

  it.each([
    ['a torn line that is not the last', '{"a":1}\n{"b"\n{"c":1}\n', 'line 2'],
    ['two torn lines', '{"a":1}\n{"b"\n{"c"', 'line 2'],
    ['an empty line', '{"a":1}\n\n', 'line 2'],
    ['a line that is no object', '{"a":1}\n[1]\n', 'line 2'],
    ['bytes that are no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d, 0x0a]), 'line 1'],
    ['a key twice', '{"a":1,"a":2}\n', 'line 1'],
  ])('%s is damage, not a crash', async (_, contents, place) => {
    await writeFile(path, contents);
    await expect(readEventLog(path)).rejects.toThrow(FileFormatError);
    await expect(readEventLog(path)).rejects.toThrow(place);
  });
});

describe('a process killed while it logs', async () => {
  const programs = await mkdtemp(join(tmpdir(), 'dualreal-events-program-'));
  afterAll(() => rm(programs, { recursive: true }));
  const program = await compileProgram(
    `import { openEventLog } from './src/store/event-log.ts';
     const log = await openEventLog(process.argv[2]);
     for (let n = 0; ; n++) {
       await log.append({ n, text: 'x'.repeat(n % 977) });
       if (n % 100 === 0) console.log(n);
     }`,
    join(programs, 'program'),
  );

  it('loses no event that was appended', async () => {
    for (let round = 0; round < 3; round++) {
      await rm(path, { force: true });
      const child = startProgram(program, path);
      await child.line();
      const reported = Number(await child.line());
      await child.kill();
      const { events } = await readEventLog(path);
      expect(events.length).toBeGreaterThan(reported);
      expect(events.map(({ n }) => n)).toEqual(Array.from(events, (_, n) => n));
    }
  });
});
