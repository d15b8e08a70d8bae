// A vitest reporter that sends the numbers to the process that started vitest (scripts/test.mjs).
import process from 'node:process';

/**
 * Failures outside a test (a file that cannot be imported, a hook that throws, an unhandled rejection)
 * count as failed too: otherwise "0 failed" could stand above a broken run.
 */
export function count(modules, unhandledErrors) {
  const numbers = { passed: 0, failed: unhandledErrors.length, skipped: 0 };
  for (const module of modules) {
    for (const scope of [module, ...module.children.allSuites()]) {
      if (scope.errors().length > 0) numbers.failed += 1;
    }
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      numbers[state === 'pending' ? 'skipped' : state] += 1;
    }
  }
  return numbers;
}

export default class CountReporter {
  async onTestRunEnd(modules, unhandledErrors) {
    const numbers = count(modules, unhandledErrors);
    await new Promise((resolve) => process.send(numbers, resolve));
  }
}
