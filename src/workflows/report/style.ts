/**
 * The one style sheet of all reports: light and dark as the system is, from a phone to a wide screen, no font
 * or file from elsewhere. Lines of a plot take their colour from `--tone`, a hue, so that both schemes can give
 * it the lightness that reads well.
 */
export const REPORT_STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fbfaf7; --raised: #ffffff; --ink: #1d2126; --soft: #5c6570; --rule: #dedbd3;
  --accent: #a4461f; --line-lightness: 54%; --line-chroma: .15;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15181c; --raised: #1d2127; --ink: #e9e6df; --soft: #a0a8b2; --rule: #353b43;
    --accent: #f0a37c; --line-lightness: 74%; --line-chroma: .14;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
main, header, footer { max-width: 66rem; margin: 0 auto; padding: 0 clamp(1rem, 4vw, 2.5rem); }
header { padding-top: clamp(1.5rem, 6vw, 4rem); }
h1 { font: 600 clamp(1.7rem, 5vw, 2.6rem)/1.15 Charter, "Iowan Old Style", Georgia, serif; margin: 0 0 .6rem; text-wrap: balance; }
h2 { font: 600 1.35rem/1.25 Charter, "Iowan Old Style", Georgia, serif; margin: 0 0 .4rem; }
h3 { font-size: 1rem; line-height: 1.35; margin: 0 0 .5rem; }
p { margin: 0 0 .8rem; max-width: 44rem; }
.lead { font-size: 1.1rem; color: var(--soft); }
section { margin: 2.6rem 0 0; padding: 1.6rem 0 0; border-top: 1px solid var(--rule); }
footer { margin-top: 3rem; padding-top: 1rem; padding-bottom: 2.5rem; color: var(--soft); font-size: .875rem; }
a { color: var(--accent); }
.notice { border-left: 4px solid var(--accent); padding: .6rem 1rem; background: var(--raised); max-width: 46rem; margin: 1rem 0; }
.soft, figcaption { color: var(--soft); font-size: .875rem; }
figure { margin: 0; }
figcaption { margin-top: .35rem; line-height: 1.35; overflow-wrap: anywhere; }
img, video { display: block; width: 100%; height: auto; border-radius: 6px; background: var(--rule); }
.grid { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(var(--cell, 8rem), 100%), 1fr)); margin: .8rem 0 1.4rem; }
.beside { display: grid; gap: 1.6rem 2.4rem; }
@media (min-width: 56rem) { .beside { grid-template-columns: 17rem minmax(0, 1fr); } }
.cards { display: grid; gap: 1rem; align-content: start; grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr)); }
.card { background: var(--raised); border: 1px solid var(--rule); border-radius: 10px; padding: .9rem; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .8rem; }
.plots { display: grid; gap: 1.4rem 2rem; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); margin: 1rem 0; }
svg.plot { display: block; width: 100%; height: auto; overflow: visible; font: 12px system-ui, sans-serif; fill: var(--soft); }
svg.plot .grid-line { stroke: var(--rule); }
svg.plot polyline { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg.plot polyline.faint { stroke-width: 1; stroke-opacity: .28; }
.toned { stroke: oklch(var(--line-lightness) var(--line-chroma) var(--tone)); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; list-style: none; margin: .3rem 0 0; padding: 0; font-size: .875rem; }
.legend li::before {
  content: ""; display: inline-block; width: 1rem; height: .22rem; margin-right: .4rem; vertical-align: middle;
  border-radius: 2px; background: oklch(var(--line-lightness) var(--line-chroma) var(--tone));
}
.scroll { overflow-x: auto; margin: .8rem 0 1.2rem; }
table { border-collapse: collapse; font-size: .9375rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .35rem 1.2rem .35rem 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { font-weight: 600; }
td.number, th.number { text-align: right; white-space: nowrap; }
.dense table { font-size: .8125rem; }
.dense th, .dense td { padding-right: .55rem; line-height: 1.35; }
.dense td .soft { font-size: .65rem; }
code, pre { font-family: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, monospace; font-size: .875em; }
pre { background: var(--raised); border: 1px solid var(--rule); border-radius: 8px; padding: .8rem 1rem; overflow-x: auto; line-height: 1.5; }
summary { cursor: pointer; color: var(--accent); }
`.trim();
