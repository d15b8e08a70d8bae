import type { WorkflowEvent } from '../workflows/workflow.ts';

/** "3 h 12 min", "4 min 05 s", "12 s". */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  if (hours > 0) return `${hours} h ${String(minutes).padStart(2, '0')} min`;
  if (minutes > 0) return `${minutes} min ${String(whole % 60).padStart(2, '0')} s`;
  return `${whole} s`;
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value >= 100 || unit === 0 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`;
}

function bar(done: number, total: number, width = 24): string {
  const filled = total === 0 ? width : Math.round((done / total) * width);
  return `${'█'.repeat(filled)}${'░'.repeat(width - filled)}`;
}

const left = (seconds: number | undefined): string =>
  seconds === undefined ? '' : `  ${formatDuration(seconds)} left`;

/** The bar of a whole run, or of the stage it is in. */
function stageBar(
  { step, total }: { readonly step: number; readonly total: number },
  stage: { readonly name: string; readonly number: number; readonly of: number } | undefined,
): string {
  const name = stage ? `${stage.name} (stage ${stage.number} of ${stage.of}) ` : '';
  return `${name}${bar(step, total)} ${step}/${total}`;
}

export interface EventPrinter {
  print(event: WorkflowEvent): void;
  /** Ends a line that is being redrawn. */
  finish(): void;
}

/**
 * Prints events for people: on a terminal one line is redrawn while something progresses; elsewhere a
 * line appears at most every few seconds, so that logs stay readable.
 */
export function createEventPrinter(stream: NodeJS.WriteStream, clock: () => number): EventPrinter {
  const live = stream.isTTY === true;
  const quietMs = 5000;
  let drawn = false;
  let lastMs = Number.NEGATIVE_INFINITY;
  let losses: Record<string, number> = {};

  const finish = () => {
    if (drawn) stream.write('\n');
    drawn = false;
  };
  const line = (text: string) => {
    finish();
    stream.write(`${text}\n`);
  };
  const status = (text: string, last: boolean) => {
    if (live) {
      stream.write(`\r\x1b[2K${text.slice(0, (stream.columns ?? 80) - 1)}`);
      drawn = true;
      if (last) finish();
      return;
    }
    if (!last && clock() - lastMs < quietMs) return;
    lastMs = clock();
    stream.write(`${text}\n`);
  };
  const smooth = (phase: string, loss: number): string => {
    losses = { ...losses, [phase]: losses[phase] === undefined ? loss : 0.95 * losses[phase] + 0.05 * loss };
    return Object.entries(losses)
      .map(([name, value]) => `${name} ${value.toFixed(4)}`)
      .join('  ');
  };

  return {
    finish,
    print: (event) => {
      switch (event.type) {
        case 'stage':
          line(event.detail ? `${event.stage}: ${event.detail}` : event.stage);
          break;
        case 'notice':
          line(`note: ${event.message}`);
          break;
        case 'artifact':
          line(`wrote ${event.kind}: ${event.path}`);
          break;
        case 'estimate':
          line(
            `predicted: ${formatDuration(event.seconds)}, ${formatBytes(event.memoryBytes)} of memory (${event.detail})`,
          );
          break;
        case 'progress':
          status(
            `${event.stage} ${bar(event.done, event.total)} ${event.done}/${event.total}${left(event.secondsLeft)}`,
            event.done === event.total,
          );
          break;
        case 'step':
          status(
            `training ${stageBar(event.stage ?? event, event.stage)}  loss ${smooth(event.phase, event.loss)}${left(event.secondsLeft)}`,
            event.step === event.total ||
              (event.stage !== undefined && event.stage.step === event.stage.total),
          );
          break;
        case 'pretrain':
          status(
            `${event.model} ${bar(event.step, event.total)} ${event.step}/${event.total}  loss ${smooth(event.model, event.loss)}${left(event.secondsLeft)}`,
            event.step === event.total,
          );
          break;
        case 'denoise':
          status(
            `denoising ${bar(event.step, event.total)} ${event.step}/${event.total}${left(event.secondsLeft)}`,
            event.step === event.total,
          );
          break;
      }
    },
  };
}
