/**
 * The packages that the universe is drawn from. They are installed by the pretraining into a cache folder and
 * never by the product: everything that the product needs of them is in the shipped weights and the demo.
 */
export interface ArtPackage {
  readonly name: string;
  readonly version: string;
  /** The licence that the package declares. */
  readonly licence: string;
  readonly use: string;
}

export const ART_PACKAGES: readonly ArtPackage[] = [
  {
    name: '@lobehub/fluent-emoji-3d',
    version: '1.1.0',
    licence: 'MIT',
    use: 'subjects (Fluent emoji by Microsoft, MIT; packaged by LobeHub)',
  },
  ...[1, 2, 3, 4].map((part) => ({
    name: `@lobehub/fluent-emoji-anim-${part}`,
    version: '1.0.0',
    licence: 'MIT',
    use: 'articulated motions (animated Fluent emoji; licence as declared by the packager LobeHub)',
  })),
  { name: '@pmndrs/assets', version: '1.7.0', licence: 'CC0-1.0', use: 'scenes (HDRI panoramas)' },
  { name: 'three', version: '0.180.0', licence: 'MIT', use: 'decodes the panoramas (EXRLoader)' },
];

export const STILL_PACKAGE = '@lobehub/fluent-emoji-3d';
export const ANIMATION_PACKAGES = ART_PACKAGES.map((art) => art.name).filter((name) =>
  name.includes('-anim-'),
);
export const PANORAMA_PACKAGE = '@pmndrs/assets';

/** The manifest that the installer writes. */
export function artManifest(): string {
  return `${JSON.stringify(
    {
      name: 'toybox-art',
      private: true,
      description: 'Art that the toybox universe is rendered from; installed by the pretraining only.',
      dependencies: Object.fromEntries(ART_PACKAGES.map((art) => [art.name, art.version])),
    },
    null,
    2,
  )}\n`;
}
