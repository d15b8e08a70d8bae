import { type Html, type HtmlValue, html } from './html.ts';
import { REPORT_STYLE } from './style.ts';

export interface Page {
  readonly title: string;
  /** A sentence or two below the title. */
  readonly lead: HtmlValue;
  readonly body: readonly Html[];
  /** What made the page, e.g. "dualreal 0.1.0, 3 May 2026". */
  readonly madeBy: string;
}

/** People who asked their system for less motion start the videos themselves. */
const STILL_VIDEOS = `if (matchMedia('(prefers-reduced-motion: reduce)').matches)
  for (const video of document.querySelectorAll('video')) { video.pause(); video.autoplay = false; video.controls = true; }`;

/** A whole page that needs nothing but the files it names: it opens from a folder, without a network. */
export function renderPage({ title, lead, body, madeBy }: Page): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>
${{ html: REPORT_STYLE }}
</style>
</head>
<body>
<header><h1>${title}</h1><p class="lead">${lead}</p></header>
<main>
${body}
</main>
<footer>${madeBy}</footer>
<script>${{ html: STILL_VIDEOS }}</script>
</body>
</html>
`.html;
}

export function section(title: string, ...body: readonly HtmlValue[]): Html {
  return html`<section><h2>${title}</h2>
${body}
</section>
`;
}

/** A table; `numbers` are the columns (from 0) that are set flush right. */
export function table(
  head: readonly string[],
  rows: readonly (readonly HtmlValue[])[],
  numbers: readonly number[] = [],
): Html {
  const kind = (column: number): Html => (numbers.includes(column) ? html` class="number"` : html``);
  const header = html`<thead><tr>${head.map((cell, i) => html`<th${kind(i)}>${cell}</th>`)}</tr></thead>`;
  const line = (row: readonly HtmlValue[]) =>
    html`<tr>${row.map((cell, i) => html`<td${kind(i)}>${cell}</td>`)}</tr>\n`;
  return html`<div class="scroll"><table>${head.length > 0 ? header : undefined}<tbody>
${rows.map(line)}</tbody></table></div>
`;
}

export interface Medium {
  /** Address relative to the page. */
  readonly src: string;
  /** What it shows, for those who cannot see it. */
  readonly alt: string;
  /** Pixels of the file; the page scales it. */
  readonly width: number;
  readonly height: number;
}

/** A picture, or a video that plays in a loop without sound, with words below it. */
export function figure({ src, alt, width, height }: Medium, caption?: HtmlValue): Html {
  const address = src.split('/').map(encodeURIComponent).join('/');
  const medium = /\.(mp4|webm)$/.test(src)
    ? html`<video src="${address}" aria-label="${alt}" width="${width}" height="${height}" autoplay loop muted playsinline></video>`
    : html`<img src="${address}" alt="${alt}" width="${width}" height="${height}">`;
  return html`<figure>${medium}${caption === undefined ? undefined : html`<figcaption>${caption}</figcaption>`}</figure>
`;
}

/** Figures side by side, as many in a row as fit; `cell` is the least width of one, in rem. */
export function figures(list: readonly Html[], cell: number): Html {
  return html`<div class="grid" style="--cell:${cell}rem">${list}</div>
`;
}
