import { defineConfig } from 'tsdown';

export default defineConfig({
  entry: ['src/**/*.ts', '!src/**/*.test.ts', '!src/**/*.cases.ts', '!src/studio/web/**'],
  // One output file per source file, under the same path: workers and data files are found by
  // `new URL('./name.js', import.meta.url)`, and a stack trace names the source's room.
  unbundle: true,
  root: 'src',
  format: 'esm',
  platform: 'node',
  target: 'node20',
  fixedExtension: false,
  // Programs that start as they are, such as src/media/wasm-ffmpeg.mjs.
  copy: { from: ['src/**/*.mjs', '!src/**/*.source.mjs'], flatten: false },
  dts: true,
  sourcemap: true,
  report: false,
});
