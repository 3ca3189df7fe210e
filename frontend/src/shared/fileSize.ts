/** How large a file is, as people say it in a language: in megabytes, small ones in kilobytes. */

const MEGABYTE = 2 ** 20;

export function fileSize(bytes: number, locale: string): string {
  const [value, unit] =
    bytes < MEGABYTE ? [Math.max(1, Math.round(bytes / 1024)), "kilobyte"] : [bytes / MEGABYTE, "megabyte"];
  return new Intl.NumberFormat(locale, { style: "unit", unit, maximumFractionDigits: 1 }).format(value);
}
