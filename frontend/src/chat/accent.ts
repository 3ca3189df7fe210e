/** The site's colour in place of ours, with letters on it that can be read. */

/** Sets the colour for the whole page; does nothing where it is none. */
export function dress(accent: string, root: HTMLElement = document.documentElement): void {
  if (!/^#[0-9a-f]{6}$/i.test(accent)) return;
  root.style.setProperty("--accent", accent);
  root.style.setProperty("--accent-hover", `color-mix(in srgb, ${accent} 85%, black)`);
  root.style.setProperty("--on-accent", lettersOn(accent));
}

/** White or black, whichever has the greater contrast (WCAG 2.2, relative luminance). */
export function lettersOn(colour: string): "#ffffff" | "#000000" {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const share = parseInt(colour.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * (red ?? 0) + 0.7152 * (green ?? 0) + 0.0722 * (blue ?? 0);
  // Where both contrasts are equal: (1.05 / (L + 0.05)) = ((L + 0.05) / 0.05).
  return luminance > 0.179 ? "#000000" : "#ffffff";
}
