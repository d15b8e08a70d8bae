import { expect, test } from 'vitest';
import { isInstalled, whyUnsupported } from './ensure-install.mjs';

const linux = { version: '20.20.2', platform: 'linux', architecture: 'x64', musl: false };

test.each([
  {},
  { version: '24.1.0' },
  { architecture: 'arm64' },
  { platform: 'darwin', architecture: 'arm64' },
  { platform: 'win32' },
])('runs on %j', (change) => {
  expect(whyUnsupported({ ...linux, ...change })).toBeUndefined();
});

test.each([
  [{ version: '18.20.8' }, /Node 18.20.8 is too old/],
  [{ version: '20.18.3' }, /Node 20.18.3 is too old/],
  [{ platform: 'darwin' }, /Intel Macs/],
  [{ platform: 'freebsd' }, /no build for freebsd-x64/],
  [{ architecture: 'ia32' }, /no build for linux-ia32/],
  [{ musl: true }, /needs glibc/],
])('says why it cannot run on %j', (change, message) => {
  expect(whyUnsupported({ ...linux, ...change })).toMatch(message);
});

const lock = {
  packages: {
    '': { name: 'dualreal' },
    'node_modules/zod': { version: '4.6.7' },
    'node_modules/@img/sharp-win32-x64': { version: '0.35.5', optional: true },
  },
};

test('an install is finished when every package that this platform needs has the locked version', () => {
  expect(isInstalled(lock, { packages: { 'node_modules/zod': { version: '4.6.7' } } })).toBe(true);
});

test('a missing package, another version, and an optional package of another version are noticed', () => {
  expect(isInstalled(lock, { packages: {} })).toBe(false);
  expect(isInstalled(lock, { packages: { 'node_modules/zod': { version: '4.6.6' } } })).toBe(false);
  const old = {
    'node_modules/zod': { version: '4.6.7' },
    'node_modules/@img/sharp-win32-x64': { version: '0.35.4' },
  };
  expect(isInstalled(lock, { packages: old })).toBe(false);
});
