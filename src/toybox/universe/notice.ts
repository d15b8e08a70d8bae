import { ART_PACKAGES } from '../art/packages.ts';
import type { ArtSource } from '../art/source.ts';
import type { Content } from './plan.ts';

/** One file of art that a shipped picture was rendered from. */
export interface NoticeEntry {
  readonly package: string;
  readonly version: string;
  /** The licence that the package declares. */
  readonly licence: string;
  readonly file: string;
}

/** The art files behind some renderings, each once, in order of package and file: what NOTICE lists. */
export function noticeEntries(contents: readonly Content[], art: ArtSource): NoticeEntry[] {
  const files = new Set<string>();
  for (const { subject, motion, scene } of contents) {
    files.add(art.panoramaFile(scene.panorama));
    const isAnimated = motion?.kind === 'articulated';
    files.add(isAnimated ? art.animationFile(subject.animations[motion.id]) : art.stillFile(subject.still));
  }
  return [...files].sort().map((file) => {
    const source = ART_PACKAGES.find(({ name }) => file.startsWith(`${name}/`));
    if (source === undefined) throw new RangeError(`${file} is of no art package`);
    return {
      package: source.name,
      version: source.version,
      licence: source.licence,
      file: file.slice(source.name.length + 1),
    };
  });
}

/** The entries as the lines of a NOTICE file, grouped by package. */
export function noticeText(entries: readonly NoticeEntry[]): string {
  const lines: string[] = [];
  let current = '';
  for (const entry of entries) {
    if (entry.package !== current) {
      lines.push(`${entry.package} ${entry.version} (${entry.licence}):`);
      current = entry.package;
    }
    lines.push(`  ${entry.file}`);
  }
  return `${lines.join('\n')}\n`;
}
