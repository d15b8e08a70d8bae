/** Lines of a CSV file (RFC 4180), its columns' names first. What a row does not have stays empty. */
export function renderCsv<Column extends string>(
  columns: readonly Column[],
  rows: readonly Partial<Readonly<Record<Column, string | number | undefined>>>[],
): string {
  const lines = [
    columns.join(','),
    ...rows.map((row) => columns.map((column) => field(row[column])).join(',')),
  ];
  return `${lines.join('\r\n')}\r\n`;
}

function field(value: string | number | undefined): string {
  const text = value === undefined ? '' : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
