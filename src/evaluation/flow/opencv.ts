import { createRequire } from 'node:module';

/** The part of OpenCV that is used here. */
export interface OpenCv {
  readonly CV_8UC3: number;
  readonly COLOR_RGB2GRAY: number;
  readonly Mat: new () => Matrix;
  matFromArray(rows: number, columns: number, type: number, data: Uint8Array): Matrix;
  cvtColor(from: Matrix, to: Matrix, code: number): void;
  calcOpticalFlowFarneback(
    first: Matrix,
    second: Matrix,
    flow: Matrix,
    pyramidScale: number,
    levels: number,
    window: number,
    iterations: number,
    polynomialSide: number,
    polynomialSigma: number,
    flags: number,
  ): void;
}

/** Lives in OpenCV's own memory until it is deleted. */
export interface Matrix {
  readonly data32F: Float32Array;
  delete(): void;
}

type Loading = Partial<OpenCv> & { onRuntimeInitialized?: () => void };

const require = createRequire(import.meta.url);
const PROCESS_EVENTS = ['uncaughtException', 'unhandledRejection'] as const;

let loaded: Promise<{ readonly cv: OpenCv }> | undefined;

/** OpenCV's version, from its package. */
export function opencvVersion(): string {
  const { version } = require('@techstark/opencv-js/package.json') as { version: string };
  return version.replace(/-.*/, '');
}

/**
 * Compiles OpenCV (WebAssembly, 11 MB) on first use. The module is itself a thenable that never settles, so it is
 * handed over inside an object.
 */
export function loadOpencv(): Promise<{ readonly cv: OpenCv }> {
  loaded ??= new Promise((resolve) => {
    const cv = withoutProcessListeners(() => require('@techstark/opencv-js') as Loading);
    const finish = () => resolve({ cv: cv as OpenCv });
    if (cv.Mat) finish();
    else cv.onRuntimeInitialized = finish;
  });
  return loaded;
}

/** The module's runtime catches every error of the process and prints its own 11 MB line: that is undone. */
function withoutProcessListeners<T>(action: () => T): T {
  const before = PROCESS_EVENTS.map((event) => new Set(process.rawListeners(event)));
  const result = action();
  for (const [i, event] of PROCESS_EVENTS.entries()) {
    for (const listener of process.rawListeners(event)) {
      if (!before[i].has(listener)) process.removeListener(event, listener as () => void);
    }
  }
  return result;
}
