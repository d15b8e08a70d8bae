import { join } from 'node:path';
import { readEventLog } from '../store/event-log.ts';

/** What took how long; apart from results, which are the same whenever they are made. */
export const TIMES_FILE = 'times.jsonl';

/** The parts of a row's work on a case. */
export type RowPart = 'training' | 'generating' | 'measuring';

/** Seconds of a row's parts. */
export type RowTimes = Readonly<Record<RowPart, number>>;

/** Of every row, over all cases and sessions. */
export async function readTimes(folder: string): Promise<ReadonlyMap<string, RowTimes>> {
  const { events } = await readEventLog(join(folder, TIMES_FILE));
  const times = new Map<string, RowTimes>();
  for (const { variant, part, seconds } of events) {
    const row = times.get(String(variant)) ?? { training: 0, generating: 0, measuring: 0 };
    const name = String(part) as RowPart;
    times.set(String(variant), { ...row, [name]: (row[name] ?? 0) + Number(seconds) });
  }
  return times;
}
