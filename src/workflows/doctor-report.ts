import type { CaptionSource } from '../store/dataset.ts';
import type { DoctorRequest } from './doctor-request.ts';

/** `error`: cannot be used as it is; `warning`: can be, with a cost; `note`: good to know. */
export type FindingLevel = 'note' | 'warning' | 'error';
export type Verdict = 'ok' | 'warning' | 'error';
export type Role = 'subject' | 'motion';

/** One observation, in words a person can act on. `code` is for programs and does not change. */
export interface Finding {
  readonly level: FindingLevel;
  readonly code: string;
  readonly message: string;
}

/** One photo or clip. Measured fields are absent where the file could not be read that far. */
export interface FileReport {
  readonly path: string;
  readonly verdict: Verdict;
  readonly findings: readonly Finding[];
  readonly caption?: string;
  readonly captionSource?: CaptionSource;
  readonly sizeBytes?: number;
  readonly kind?: 'photo' | 'clip';
  readonly codec?: string;
  readonly width?: number;
  readonly height?: number;
  /** Counted by decoding. */
  readonly frameCount?: number;
  readonly fps?: number;
  readonly durationS?: number;
  /** Frames that training would use, after frame selection and the 4k + 1 rule. */
  readonly usedFrames?: number;
  /** Seconds of the clip that these frames cover. */
  readonly usedDurationS?: number;
  /** Frames within reach that the 4k + 1 rule drops. */
  readonly droppedFrames?: number;
}

/** All photos of a subject, or all clips of a motion. */
export interface RoleReport {
  readonly role: Role;
  readonly paths: readonly string[];
  readonly files: readonly FileReport[];
  /** About the data set as a whole. */
  readonly findings: readonly Finding[];
  readonly usableFiles: number;
  readonly verdict: Verdict;
  /** One sentence. */
  readonly summary: string;
}

/** What `doctor` returns; plain data. */
export interface DoctorReport {
  readonly target: Pick<DoctorRequest, 'width' | 'height' | 'frames' | 'fps' | 'fit'>;
  readonly roles: readonly RoleReport[];
  readonly verdict: Verdict;
}

export function verdictOf(levels: Iterable<FindingLevel | Verdict>): Verdict {
  const seen = new Set<FindingLevel | Verdict>(levels);
  return seen.has('error') ? 'error' : seen.has('warning') ? 'warning' : 'ok';
}
