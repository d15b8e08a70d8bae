import { expect, it } from 'vitest';
import { html } from './html.ts';
import { linePlot } from './line-plot.ts';
import { figure, renderPage, section, table } from './page.ts';

it('text cannot become markup, in contents or in attributes', () => {
  const evil = `<script>alert("1")</script> & 'so'`;
  const page = renderPage({
    title: evil,
    lead: evil,
    body: [section(evil, table([evil], [[evil]]))],
    madeBy: '',
  });
  expect(page).not.toContain('<script>alert');
  expect(html`<i title="${evil}">`.html).toBe(
    '<i title="&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;so&#39;">',
  );
});

it('nothing leaves no trace; lists are joined', () => {
  expect(html`${undefined}|${['a', html`<b>`, 2]}`.html).toBe('|a<b>2');
});

it('addresses are encoded; videos play without sound and sight is not needed', () => {
  const { html: video } = figure({ src: 'media/a b?"#.mp4', alt: 'a "fox"', width: 64, height: 48 }, 'below');
  expect(video).toContain(
    '<video src="media/a%20b%3F%22%23.mp4" aria-label="a &quot;fox&quot;" width="64" height="48" autoplay loop muted',
  );
  expect(video).toContain('<figcaption>below</figcaption>');
  expect(figure({ src: 'a.png', alt: 'x', width: 1, height: 1 }).html).toContain('<img src="a.png" alt="x"');
});

const plot = { title: 'loss', xLabel: 'step', yLabel: 'error' };

it('a plot puts the lowest value at the bottom, and reverses x where time runs down', () => {
  const line = {
    name: 'identity',
    points: [
      [0, 0],
      [10, 4],
    ] as const,
  };
  expect(linePlot({ ...plot, lines: [line] }).html).toContain('points="58.0,230.0 468.0,10.0"');
  expect(linePlot({ ...plot, lines: [line], reversed: true }).html).toContain(
    'points="468.0,230.0 58.0,10.0"',
  );
});

it('a plot names its lines and its ticks, and bears one point and no point', () => {
  const two = ['a', 'b'].map((name) => ({
    name,
    points: [
      [1, 0.02],
      [500, 0.061],
    ] as const,
  }));
  const { html: drawn } = linePlot({ ...plot, lines: two, tones: 'ordered' });
  expect(drawn).toContain('<li style="--tone:255">a</li><li style="--tone:60">b</li>');
  for (const tick of ['0.02', '0.04', '0.08', '100', '500']) expect(drawn).toContain(`>${tick}</text>`);
  expect(linePlot({ ...plot, lines: [{ name: 'a', points: [[3, 0.5]] }] }).html).not.toContain('NaN');
  expect(linePlot({ ...plot, lines: [] }).html).toContain('Nothing was recorded');
});

it('what lies outside the range is drawn at its edge', () => {
  const line = {
    name: 'a',
    points: [
      [0, -1],
      [1, 5],
    ] as const,
  };
  expect(linePlot({ ...plot, lines: [line], yRange: [0, 1] }).html).toContain(
    'points="58.0,230.0 468.0,10.0"',
  );
});
