import { openBase } from './base.ts';
import { EMBEDDED_BASE, EmbeddedBaseError } from './base-location.ts';
import type { DoctorRequest } from './doctor-request.ts';

/** What doctor must know of a base: the shape that training would give the data. */
export type DoctorShape = Pick<
  DoctorRequest,
  'width' | 'height' | 'frames' | 'playbackFps' | 'temporalRatio'
>;

/**
 * The shape of a base, default toybox. Undefined while the embedded one is not whole and no other is named: the
 * request's own defaults, CogVideoX's, stand.
 */
export async function doctorShape(base: string | undefined): Promise<DoctorShape | undefined> {
  try {
    const { nominal, sizeRule } = await openBase(base ?? EMBEDDED_BASE);
    const { fps: playbackFps, ...size } = nominal;
    return { ...size, playbackFps, temporalRatio: sizeRule.temporalRatio };
  } catch (error) {
    if (base === undefined && error instanceof EmbeddedBaseError) return undefined;
    throw error;
  }
}
