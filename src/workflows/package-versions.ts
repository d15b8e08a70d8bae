import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

function versionOf(packageJson: string | URL): string {
  return (JSON.parse(readFileSync(packageJson, 'utf8')) as { version: string }).version;
}

/** Versions that a run's record names: this program, its engine, Node and the platform. */
export function packageVersions(): Record<string, string> {
  return {
    dualreal: versionOf(new URL('../../package.json', import.meta.url)),
    'onnxruntime-node': versionOf(require.resolve('onnxruntime-node/package.json')),
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
  };
}
