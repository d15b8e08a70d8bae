import { runWorkflow, type WorkflowContext, type WorkflowEvent } from '../workflows/workflow.ts';
import { createContext } from './context.ts';
import { createEventPrinter } from './events.ts';

/** Runs a workflow with its events printed to stderr and returns its result. */
export async function runPrinted<Result>(
  start: (context: WorkflowContext) => AsyncGenerator<WorkflowEvent, Result>,
): Promise<Result> {
  const context = createContext();
  const printer = createEventPrinter(process.stderr, context.clock);
  try {
    return await runWorkflow(start(context), (event) => printer.print(event));
  } finally {
    printer.finish();
  }
}
