/** Numbers, and words that change with them, as a language has them. */

type Forms = Partial<Record<Intl.LDMLPluralRule, string>> & { other: string };

interface Counting {
  number(value: number): string;
  /** The form for this number, `#` being where it stands. */
  plural(count: number, forms: Forms): string;
}

export function counting(language: string): Counting {
  const rules = new Intl.PluralRules(language);
  const numbers = new Intl.NumberFormat(language);
  const number = (value: number): string => numbers.format(value);
  return {
    number,
    plural: (count, forms) => (forms[rules.select(count)] ?? forms.other).replace("#", number(count)),
  };
}
