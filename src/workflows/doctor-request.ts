import { z } from 'zod';

const count = z.number().int().positive();
const paths = z.array(z.string().min(1)).default([]);

/** What `doctor` is asked: the data of a training run and the shape in which it would be used. */
export const doctorRequestSchema = z
  .strictObject({
    /** Photos of the subject: files or folders. */
    subject: paths,
    /** Clips of the motion: files or folders. */
    motion: paths,
    subjectPrompt: z.string().min(1).optional(),
    motionPrompt: z.string().min(1).optional(),
    /** Pixel size and frames of the base; the defaults are CogVideoX's. */
    width: count.default(720),
    height: count.default(480),
    frames: count.default(49),
    fps: z.union([z.literal('native'), z.number().positive()]).default('native'),
    fit: z.enum(['stretch', 'crop', 'pad']).default('stretch'),
    /** Frames per second at which the base's videos play. */
    playbackFps: z.number().positive().default(8),
    /** Pixel frames per latent frame of the base's VAE. */
    temporalRatio: count.default(4),
  })
  .refine(({ subject, motion }) => subject.length + motion.length > 0, {
    message: 'name at least one photo, clip or folder',
  });

export type DoctorRequest = z.infer<typeof doctorRequestSchema>;
export type DoctorRequestInput = z.input<typeof doctorRequestSchema>;
