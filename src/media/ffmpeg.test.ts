import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { CancelledError } from '../tensor/errors.ts';
import { MediaError } from './errors.ts';
import { type FfmpegRun, runFfmpeg } from './ffmpeg.ts';
import { findFfmpeg } from './ffmpeg-program.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualreal-ffmpeg-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A program that answers to -version and otherwise does what the script says. */
function fakeProgram(name: string, version: string, script: string): string {
  const path = join(folder, name);
  writeFileSync(
    path,
    `#!/bin/sh\nif [ "$1" = -version ]; then echo "ffmpeg version ${version} built"; exit; fi\n${script}\n`,
  );
  chmodSync(path, 0o755);
  return path;
}

async function runWith(setting: string, run: Partial<FfmpegRun> = {}) {
  vi.stubEnv('DUALREAL_FFMPEG', setting);
  try {
    return await runFfmpeg({ where: 'clip.mp4', arguments: () => ['-i', 'file:x', 'pipe:1'], ...run });
  } finally {
    vi.unstubAllEnvs();
  }
}

describe('findFfmpeg', () => {
  it('prefers the setting, and never replaces a broken one', async () => {
    const fake = fakeProgram('named', '6.0', '');
    expect(await findFfmpeg({ DUALREAL_FFMPEG: fake })).toMatchObject({
      kind: 'native',
      command: fake,
      version: '6.0',
    });
    expect(await findFfmpeg({ DUALREAL_FFMPEG: 'wasm' })).toMatchObject({ kind: 'wasm' });
    await expect(findFfmpeg({ ...process.env, DUALREAL_FFMPEG: join(folder, 'none') })).rejects.toThrow(
      MediaError,
    );
    const other = join(folder, 'other');
    writeFileSync(other, '#!/bin/sh\necho hello\n', { mode: 0o755 });
    await expect(findFfmpeg({ DUALREAL_FFMPEG: other })).rejects.toThrow(/does not answer/);
  });

  it('falls back to the WebAssembly build where the PATH has none', async () => {
    expect(await findFfmpeg({ PATH: folder })).toMatchObject({ kind: 'wasm' });
  });

  it('knows the name of the frame option of old and new versions', async () => {
    for (const [version, option] of [
      ['4.4.2-0ubuntu0.22.04.1', '-vsync'],
      ['5.0.1', '-vsync'],
      ['5.1.9-0+deb12u1', '-fps_mode'],
      ['n7.1', '-fps_mode'],
      ['N-109542-g2b2b5a1', '-fps_mode'],
    ]) {
      const fake = fakeProgram(`version-${version}`, version, '');
      expect((await findFfmpeg({ DUALREAL_FFMPEG: fake })).frameSyncOption).toBe(option);
    }
  });
});

describe('runFfmpeg', () => {
  it('passes both output streams on, and what was complained about', async () => {
    const fake = fakeProgram(
      'streams',
      '6.0',
      'printf pixels; printf facts >&3; echo "[h264 @ 0x55aa] damaged" >&2',
    );
    const seen = { output: '', facts: '' };
    const outcome = await runWith(fake, {
      onOutput: (chunk) => {
        seen.output += Buffer.from(chunk).toString();
      },
      onFacts: (chunk) => {
        seen.facts += Buffer.from(chunk).toString();
      },
    });
    expect(seen).toEqual({ output: 'pixels', facts: 'facts' });
    expect(outcome.complaints).toEqual(['h264: damaged']);
  });

  it('feeds the input, and does not mind a reader that stops early', async () => {
    let output = '';
    const chunk = new Uint8Array(65_536).fill(65);
    const fake = fakeProgram('reader', '6.0', 'head -c 5');
    await runWith(fake, {
      input: Array(40).fill(chunk),
      onOutput: (bytes) => {
        output += Buffer.from(bytes).toString();
      },
    });
    expect(output).toBe('AAAAA');
  });

  it('names the file and repeats the end of the error output', async () => {
    const fake = fakeProgram('failing', '6.0', 'for i in 1 2 3 4 5 6; do echo "line $i" >&2; done; exit 3');
    const failure = runWith(fake);
    await expect(failure).rejects.toThrow(MediaError);
    await expect(failure).rejects.toThrow(/clip\.mp4: .*line 3 \| line 4 \| line 5 \| line 6/);
    await expect(runWith(fakeProgram('silent', '6.0', 'kill -9 $$'))).rejects.toThrow(/ended by SIGKILL/);
  });

  it('stops a run that takes too long', async () => {
    const startedMs = performance.now();
    const fake = fakeProgram('slow', '6.0', 'exec sleep 20');
    await expect(runWith(fake, { limits: { timeoutMs: 200 } })).rejects.toThrow(/within 0.2 s/);
    expect(performance.now() - startedMs).toBeLessThan(5000);
  });

  it('stops when it is cancelled, before and during the run', async () => {
    const fake = fakeProgram('patient', '6.0', 'exec sleep 20');
    await expect(runWith(fake, { signal: AbortSignal.abort() })).rejects.toThrow(CancelledError);
    await expect(runWith(fake, { signal: AbortSignal.timeout(100) })).rejects.toThrow(CancelledError);
  });

  it('stops with the error of a receiver', async () => {
    const fake = fakeProgram('chatty', '6.0', 'printf x; exec sleep 20');
    const refuse = () => {
      throw new RangeError('enough');
    };
    await expect(runWith(fake, { onOutput: refuse })).rejects.toThrow('enough');
  });

  it.runIf(process.platform === 'linux')('limits the memory of the process', async () => {
    let output = '';
    await runWith(fakeProgram('limited', '6.0', 'ulimit -v'), {
      limits: { maxProcessBytes: 512 * 2 ** 20 },
      onOutput: (bytes) => {
        output += Buffer.from(bytes).toString();
      },
    });
    expect(output.trim()).toBe(String(512 * 1024));
  });
});
