/** Markup that may stand in a page as it is. */
export interface Html {
  readonly html: string;
}

/** What may be put into a template: text and numbers are escaped, markup is not, nothing leaves no trace. */
export type HtmlValue = Html | string | number | undefined | readonly HtmlValue[];

/** Markup from a template; whatever is text in it cannot become markup. */
export function html(parts: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return { html: parts.map((part, i) => part + (i < values.length ? markupOf(values[i]) : '')).join('') };
}

function markupOf(value: HtmlValue): string {
  if (value === undefined) return '';
  if (typeof value === 'string') return escapeHtml(value);
  if (typeof value === 'number') return String(value);
  return 'html' in value ? value.html : value.map(markupOf).join('');
}

/** Text for the contents or a quoted attribute of an element. */
export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
