import { defineConfig } from 'vitest/config';

const project = (name: string, include: string[], testTimeout: number) => ({
  test: { name, include, testTimeout, hookTimeout: testTimeout, pool: 'forks' as const },
});

export default defineConfig({
  test: {
    // Each file already uses every core through onnxruntime; more forks only compete.
    maxWorkers: 2,
    projects: [
      project('unit', ['src/**/*.test.ts', 'scripts/**/*.test.{ts,mjs}'], 120_000),
      project('conformance', ['test/conformance/**/*.test.ts'], 120_000),
      project('parity', ['test/parity/**/*.test.ts'], 120_000),
      project('journeys', ['test/journeys/**/*.test.ts'], 300_000),
    ],
  },
});
