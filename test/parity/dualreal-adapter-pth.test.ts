import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openPth, readPth } from '../../src/store/pickle/pth.ts';
import { writePth } from '../../src/store/pickle/write-pth.ts';
import { bytesOf } from '../../src/tensor/dtype.ts';
import { FileFormatError } from '../../src/tensor/errors.ts';
import { asFloats, type HostTensor } from '../../src/tensor/host-tensor.ts';
import { readSafetensorsFile } from '../../src/tensor/safetensors.ts';
import { describeGolden } from './golden.ts';

const WIDENED = '_as_f32';

/** Bit-exact by design: importing copies bytes, and f16 and bf16 widen to f32 without rounding. */
function expectSame(
  actual: ReadonlyMap<string, HostTensor>,
  expected: ReadonlyMap<string, HostTensor>,
): void {
  expect([...actual.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [name, tensor] of expected) {
    const found = actual.get(name)!;
    expect([name, found.dtype, found.shape]).toEqual([name, tensor.dtype, tensor.shape]);
    expect(Buffer.compare(bytesOf(found.data), bytesOf(tensor.data)), `bytes of ${name}`).toBe(0);
  }
}

describeGolden('dualreal-adapter-pth', async (golden) => {
  const files = await readdir(golden.path('.'));
  const pickles = files.filter((file) => file.endsWith('.pth'));
  const sources = new Map<string, string>();
  for (const file of files) {
    const label = /^expected_(.+)\.safetensors$/.exec(file)?.[1];
    if (!label) continue;
    const stem = label.endsWith(WIDENED) ? label.slice(0, -WIDENED.length) : label;
    const source = [`adapter_${stem}.pth`, `${stem}.pth`].find((name) => pickles.includes(name));
    sources.set(file, source ?? `a .pth file for ${label}`);
  }
  const refused = pickles.filter((file) => file.startsWith('refuse_'));
  const others = pickles.filter((file) => !refused.includes(file) && ![...sources.values()].includes(file));

  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dualreal-parity-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('has files of each kind', () => {
    expect(sources.size).toBeGreaterThan(0);
    expect(refused.length).toBeGreaterThan(0);
  });

  it.each([...sources])('%s holds the tensors of %s bit for bit', async (expectedFile, source) => {
    const expected = await readSafetensorsFile(golden.path(expectedFile));
    const read = await readPth(golden.path(source));
    const widen = expectedFile.endsWith(`${WIDENED}.safetensors`);
    expectSame(
      widen ? new Map(Array.from(read, ([name, tensor]) => [name, asFloats(tensor)])) : read,
      expected,
    );
  });

  it.each([...new Set(sources.values())])('%s: one tensor at a time, and exported again', async (source) => {
    const file = await openPth(golden.path(source));
    const all = await file.readAll();
    for (const name of file.tensors.keys()) {
      expectSame(new Map([[name, await file.read(name)]]), new Map([[name, all.get(name)!]]));
    }
    const copy = join(folder, source);
    await writePth(copy, all);
    expectSame(await readPth(copy), all);
  });

  it.each(refused)('%s is refused, naming what it would call', async (file) => {
    await expect(openPth(golden.path(file))).rejects.toThrow(FileFormatError);
    await expect(openPth(golden.path(file))).rejects.toThrow(golden.path(file));
    // The name in the file's own name: os_system → "os.system", builtins_getattr → "builtins.getattr".
    const named = /^refuse_([a-z]+)_([a-z]+)\.pth$/.exec(file);
    const modules = ['os', 'posix', 'builtins', 'subprocess', 'nt'];
    if (named && modules.includes(named[1])) {
      // Pickle protocols 0 to 2 know `builtins` by its Python 2 name.
      const module = named[1] === 'builtins' ? '(builtins|__builtin__)' : named[1];
      await expect(openPth(golden.path(file))).rejects.toThrow(new RegExp(`"${module}\\.${named[2]}"`));
    }
  });

  describe.runIf(others.length > 0)('without an expectation', () => {
    it.each(others)('%s is read, or refused with a reason', async (file) => {
      const outcome = await readPth(golden.path(file)).catch((error: unknown) => error);
      if (outcome instanceof Map) expect(outcome.size).toBeGreaterThan(0);
      else expect(outcome).toBeInstanceOf(FileFormatError);
    });
  });

  it.runIf(golden.has('legacy_format.pth'))('the format before torch 1.6 is read', async () => {
    for (const { data, shape } of (await readPth(golden.path('legacy_format.pth'))).values()) {
      expect(data.length).toBe(shape.reduce((product, extent) => product * extent, 1));
      for (const value of data) expect(Number.isFinite(Number(value))).toBe(true);
    }
  });
});
